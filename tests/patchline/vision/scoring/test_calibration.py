"""Thresholds and their bounds, against scipy's beta distribution and by simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, gumbel_r

from patchline.vision.scoring.calibration import (
    MAXIMUM_BOUND,
    OUTLIER_PROBABILITY,
    allowed_above,
    calibrate,
    false_reject_bound,
    fewest_pictures,
)

finite = st.floats(-1e6, 1e6, allow_nan=False)


@given(images=st.integers(1, 3000), data=st.data(), confidence=st.floats(0.5, 0.999))
def test_the_bound_is_that_of_clopper_and_pearson(images: int, data: st.DataObject, confidence: float) -> None:
    rejected = data.draw(st.integers(0, min(images - 1, 60)))
    expected = beta.ppf(confidence, rejected + 1, images - rejected)
    assert false_reject_bound(rejected, images, confidence) == pytest.approx(expected, rel=1e-6)


def test_none_of_209_bounds_the_rate_at_1_4_percent() -> None:
    assert round(100 * false_reject_bound(0, 209), 1) == 1.4
    assert false_reject_bound(3, 3) == false_reject_bound(0, 0) == 1.0


def test_a_target_of_one_percent_needs_99_pictures() -> None:
    assert [allowed_above(images, 0.01) for images in (0, 98, 99, 198, 199, 209, 299)] == [-1, -1, 0, 0, 1, 1, 2]


def test_one_percent_asks_for_9_pictures_to_have_a_threshold_and_99_to_hold_it() -> None:
    assert fewest_pictures(0.01) == (9, 99)
    assert fewest_pictures(0.05) == (9, 19)
    assert fewest_pictures(0.5) == (1, 1)
    assert fewest_pictures(0.01, confidence=0.5) == (3, 99)


@given(target=st.floats(0.001, 0.9), confidence=st.floats(0.5, 0.99))
def test_one_picture_fewer_than_asked_for_is_too_few(target: float, confidence: float) -> None:
    fewest = fewest_pictures(target, confidence)
    assert allowed_above(fewest.target - 1, target) < 0 <= allowed_above(fewest.target, target)

    def threshold(images: int) -> float | None:
        return calibrate(np.arange(images), target_false_reject_rate=target, confidence=confidence).threshold

    assert threshold(fewest.threshold - 1) is None
    assert threshold(fewest.threshold) is not None


@given(scores=st.lists(finite, min_size=99, max_size=400))
def test_many_pictures_put_the_threshold_on_a_score_with_the_allowed_number_above(scores: list[float]) -> None:
    found = calibrate(scores, target_false_reject_rate=0.01)
    allowed = allowed_above(len(scores), 0.01)
    assert found.threshold == sorted(scores)[-1 - allowed]
    assert found.bound == false_reject_bound(allowed, len(scores))


@pytest.mark.parametrize("images", [99, 209, 250])
def test_the_next_normal_picture_is_rejected_no_more_often_than_the_target_whatever_the_distribution(
    images: int,
) -> None:
    rng = np.random.default_rng(2)
    rates = [np.exp(-np.sqrt(calibrate(rng.exponential(size=images) ** 2).threshold or 0.0)) for _ in range(2000)]
    assert np.mean(rates) < 0.0105


@given(scores=st.lists(finite, min_size=9, max_size=98))
def test_few_pictures_have_a_threshold_and_a_bound_that_counts_what_is_above_it(scores: list[float]) -> None:
    found = calibrate(scores, target_false_reject_rate=0.01)
    assert found.threshold is not None
    above = sum(score > found.threshold for score in scores)
    assert above < len(scores)
    assert found.bound == false_reject_bound(above, len(scores))
    assert found.images == len(scores)


@given(score=finite, images=st.integers(9, 300))
def test_scores_that_are_all_alike_are_not_above_their_threshold(score: float, images: int) -> None:
    assert calibrate([score] * images).threshold == pytest.approx(score, rel=1e-6)
    assert (calibrate([score] * images).threshold or 0.0) >= score


def test_one_bad_picture_among_few_does_not_raise_the_threshold_but_shows_in_the_bound() -> None:
    scores = gumbel_r.ppf((np.arange(30) + 0.5) / 30)
    spoilt = np.append(scores[:-1], 30.0)
    clean, found = calibrate(scores), calibrate(spoilt)
    assert clean.threshold is not None
    assert clean.threshold > scores.max()
    assert found.threshold == pytest.approx(clean.threshold, rel=0.05)
    assert clean.bound == false_reject_bound(0, 30)
    assert found.bound == false_reject_bound(1, 30)


@pytest.mark.parametrize("images", [9, 30, 90])
def test_scores_on_a_gumbel_line_have_its_quantile_for_a_threshold(images: int) -> None:
    """At Gringorten's plotting positions, (i - 0.44) / (n + 0.12); the top twentieth is not fitted."""
    line = gumbel_r(loc=5, scale=2)
    scores = line.ppf((np.arange(1, images + 1) - 0.44) / (images + 0.12))
    expected = max(line.ppf(0.99), scores[-1])
    assert calibrate(scores).threshold == pytest.approx(expected, rel=1e-9)
    outlying = line.ppf((1 - OUTLIER_PROBABILITY) ** (1 / images))
    assert OUTLIER_PROBABILITY == 0.05
    for largest, threshold in ((outlying * 0.999, max(outlying * 0.999, line.ppf(0.99))), (outlying * 1.001, None)):
        found = calibrate(np.append(scores[:-1], largest)).threshold
        assert found == pytest.approx(threshold or max(line.ppf(0.99), scores[-2]), rel=1e-9)


def test_a_largest_score_that_is_no_outlier_raises_the_threshold() -> None:
    scores = gumbel_r.ppf((np.arange(60) + 0.5) / 60)
    scores[-1] = gumbel_r.isf(0.004)
    assert calibrate(scores).threshold == scores[-1]


@given(scores=st.lists(finite, max_size=8))
def test_too_few_pictures_give_no_threshold(scores: list[float]) -> None:
    found = calibrate(scores)
    assert found.threshold is None
    assert found.bound > MAXIMUM_BOUND


@given(scores=st.lists(st.floats(0.001, 1e3), min_size=9, max_size=60), factor=st.sampled_from([0.25, 2.0, 64.0]))
def test_the_threshold_scales_with_the_scores(scores: list[float], factor: float) -> None:
    plain, scaled = calibrate(scores).threshold, calibrate([factor * score for score in scores]).threshold
    assert plain is not None
    assert scaled == pytest.approx(factor * plain, rel=1e-9)


def test_order_does_not_matter() -> None:
    scores = np.random.default_rng(0).random(50)
    assert calibrate(scores) == calibrate(scores[::-1])


@pytest.mark.parametrize(
    "wider", [{"target_false_reject_rate": 0.2}, {"confidence": 0.5}], ids=["target", "confidence"]
)
def test_every_parameter_has_an_effect(wider: dict[str, float]) -> None:
    scores = np.random.default_rng(0).random(60)
    assert calibrate(scores, **wider) != calibrate(scores)
    assert calibrate(scores, **wider).bound != calibrate(scores).bound


@pytest.mark.parametrize("images", [10, 30, 60, 209])
@pytest.mark.parametrize("spoilt", [False, True])
def test_scores_of_the_usual_form_are_rejected_about_as_seldom_as_asked_for(images: int, spoilt: bool) -> None:
    rng = np.random.default_rng(0)
    rates = []
    for _ in range(300):
        scores = gumbel_r.rvs(size=images, loc=5, random_state=rng)
        scores[0] += 10 * spoilt
        rates.append(gumbel_r.sf(calibrate(scores).threshold, loc=5))
    assert np.mean(rates) < 0.025
    assert 0.0005 < np.median(rates) < 0.0125


@pytest.mark.parametrize("images", [30, 209, 600])
def test_the_bound_holds_as_often_as_it_says(images: int) -> None:
    rng = np.random.default_rng(1)
    held = []
    for _ in range(400):
        found = calibrate(rng.exponential(size=images) ** 2)
        held.append(np.exp(-np.sqrt(found.threshold or 0.0)) <= found.bound)
    assert np.mean(held) >= 0.93


def test_a_score_that_is_no_number_is_a_bug_of_the_caller() -> None:
    with pytest.raises(ValueError, match="finite"):
        calibrate([1.0, float("nan")])
