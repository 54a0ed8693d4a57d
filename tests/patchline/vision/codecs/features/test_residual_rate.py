import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchline.vision.codecs.features.residual.order import order_at, sequence_of
from patchline.vision.codecs.features.residual.picture import PictureCoder, Statistics
from patchline.vision.codecs.features.residual.rate import (
    GAINS,
    LEVELS,
    Forecast,
    Scale,
    bounds,
    bytes_of_one,
    moved_classes,
    shares_left,
)
from patchline.vision.codecs.features.residual.tables import (
    CLASSES,
    MASKS,
    SYMBOLS,
    Quantiser,
    occurrence_of,
    tables_of,
)

TABLES = tables_of(np.zeros((CLASSES, SYMBOLS)), *np.zeros((3, CLASSES, MASKS)))
SIZES = [900, 1500, 600]
CLASSES_OF = np.random.default_rng(4).integers(5, 40, sum(SIZES)).astype(np.uint8)
BANDS = np.repeat(np.arange(3, dtype=np.uint8), SIZES)


def coder(limit: int, given: np.ndarray | None = None) -> PictureCoder:
    return PictureCoder(Statistics(0.5, CLASSES_OF, TABLES, Quantiser.first()), SIZES, limit, given)


def picture(strength: float, seed: int = 1) -> np.ndarray:
    usual = 0.5 * np.exp2((CLASSES_OF + 0.5) / 6 - 4.5)
    return (strength * usual * np.random.default_rng(seed).laplace(size=len(usual))).astype(np.float32)


@given(seed=st.integers(0, 99), allowed=st.integers(0, 400), first=st.integers(0, 40), near=st.integers(0, 60))
def test_the_level_found_is_the_finest_with_so_few(seed: int, allowed: int, first: int, near: int) -> None:
    excess = np.random.default_rng(seed).lognormal(0, 2, 300).astype(np.float32)
    found = Forecast(excess, bounds(), np.ones(LEVELS), 0.5).level_with(allowed, first, max(first, near))
    counts = [np.count_nonzero(excess > bound) for bound in bounds()]
    assert found == next((level for level in range(first, LEVELS) if counts[level] <= allowed), LEVELS - 1)


def test_a_coefficient_at_its_threshold_is_sent_and_at_the_last_level_nothing_is() -> None:
    forecast = Forecast(np.array([1, 2, np.inf, np.nan], np.float32), bounds(), np.ones(LEVELS), 0.5)
    assert [forecast.count(level) for level in (0, 6, 7, LEVELS - 1)] == [3, 2, 1, 0]


def test_where_classes_sink_and_thresholds_rise_less_is_left_at_each_level() -> None:
    assert (shares_left(np.full(CLASSES, 0.6, np.float32), CLASSES_OF) == 1).all()
    shares = shares_left(np.linspace(1.6, 0.5, CLASSES, dtype=np.float32), CLASSES_OF)
    assert shares[0] == 1
    assert (np.diff(shares) <= 0).all()
    assert shares[5] < 0.95


def test_the_tables_say_what_a_coefficient_of_a_normal_picture_takes() -> None:
    body = coder(1 << 30).encode(picture(1 / np.sqrt(2)))
    departing = np.abs(picture(1 / np.sqrt(2))) >= 0.6 * 0.5
    assert len(body) == pytest.approx(np.count_nonzero(departing) * bytes_of_one(TABLES, CLASSES_OF), rel=0.15)


@pytest.mark.parametrize("strength", [0.5, 1, 3, 40])
def test_no_finer_level_than_the_one_taken_would_have_fitted(strength: float) -> None:
    limit, whole = 500, coder(1 << 30)
    body = coder(limit).encode(picture(strength))
    assert len(body) <= limit
    level = body[0]
    if level:
        finer = coder(limit)
        finer._limit = 1 << 30
        forced = finer._draft(*_excess(finer, picture(strength)), level - 1)
        assert len(forced.head + forced.laid.write()) > 0.98 * limit
    else:
        assert body == whole.encode(picture(strength))


def _excess(of: PictureCoder, coefficients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    sequence = coefficients[of._sequence]
    return sequence, np.abs(sequence) / of._thresholds


def test_coefficients_in_another_order_make_the_same_body() -> None:
    shuffled = np.random.default_rng(2).permutation(len(CLASSES_OF))
    elsewhere = np.empty_like(picture(2))
    elsewhere[shuffled] = picture(2)
    assert coder(700, shuffled).encode(elsewhere) == coder(700).encode(picture(2))


@pytest.mark.parametrize("level", [0, 3, 20, 200])
def test_pieces_bring_every_coefficient_to_its_position_and_back(level: int) -> None:
    order, sequence = order_at(level, CLASSES_OF, BANDS), sequence_of(CLASSES_OF, BANDS)
    excess = np.random.default_rng(level).lognormal(0, 1, len(CLASSES_OF)).astype(np.float32)
    departing = order.pieces.departing(excess[sequence], np.full(len(excess), 1.5, np.float32))
    positions = np.flatnonzero(departing)
    places, counts = order.pieces.found(positions)
    np.testing.assert_array_equal(sequence[places], order.places[positions])
    np.testing.assert_array_equal(np.sort(sequence[places]), np.flatnonzero(excess > 1.5))
    of_bands = np.bincount(order.pieces.bands, counts, len(SIZES))
    np.testing.assert_array_equal(of_bands, np.bincount(BANDS[sequence[places]], minlength=len(SIZES)))


def test_the_gain_is_the_one_whose_expected_count_is_nearest() -> None:
    populations = np.random.default_rng(3).integers(0, 60, (5, CLASSES))
    populations[4] = 0
    occurrence = occurrence_of(TABLES)
    scale = Scale(populations, occurrence)
    moved = moved_classes(list(range(GAINS))).reshape(GAINS, CLASSES)
    expected = np.log2(np.maximum.accumulate(populations @ occurrence[moved].T, axis=1) + 1)
    for count in (0, 1, 7, 40, 300, 2000):
        gains = scale.gains([count] * 5)
        distances = np.abs(expected - np.log2(count + 1))
        np.testing.assert_allclose(distances[np.arange(5), gains], distances.min(axis=1), rtol=1e-9)
    assert scale.gains([0] * 5)[4] == 0
