import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from patchline.vision.codecs.features.residual import entropy, lane_states
from patchline.vision.codecs.features.residual.entropy import Stream
from patchline.vision.codecs.features.residual.tables import (
    COMMON,
    LARGEST,
    MASKS,
    NOTHING,
    ROWS,
    SYMBOLS,
    VALUE_SYMBOLS,
    frequencies_of,
    independent_masks,
    occurrence_of,
    plain_bit_count,
    plain_bits,
    symbols_of,
    tables_of,
    values_of,
)

TABLES = tables_of(np.zeros((64, SYMBOLS)), *np.zeros((3, 64, MASKS)))


def drawn(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows, and symbols as often as the tables of those rows say."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, NOTHING, count)
    cumulative = TABLES[rows].cumsum(axis=1)
    symbols = (rng.integers(0, entropy.WHOLE, count)[:, None] >= cumulative).sum(axis=1).astype(np.uint8)
    return rows, symbols


def places_of(rows: np.ndarray, symbols: np.ndarray) -> np.ndarray:
    places: np.ndarray = rows * SYMBOLS + symbols
    return places


@settings(max_examples=100, deadline=None)
@example(first=56, second=2559, bits=0, seed=1)  # 16 lanes without a plain bit: each state is rounded down
@example(first=0, second=2560, bits=0, seed=7)
@example(first=700, second=3000, bits=31, seed=3)
@given(first=st.integers(0, 700), second=st.integers(0, 3000), bits=st.integers(0, 900), seed=st.integers(0, 99))
def test_runs_of_symbols_and_plain_bits_come_back(first: int, second: int, bits: int, seed: int) -> None:
    runs = [drawn(seed, first), drawn(seed + 1, second)]
    plain = np.random.default_rng(seed).integers(0, 2, bits, dtype=np.uint8)
    stream = Stream(TABLES)
    laid = stream.lay([places_of(*run) for run in runs], plain)
    written = laid.write()
    assert 0.98 * len(written) - 12 <= laid.fewest_bytes() <= len(written)
    opened = stream.open(written)
    for rows, symbols in runs:
        np.testing.assert_array_equal(opened.read(rows), symbols)
    np.testing.assert_array_equal(opened.finish(bits), plain)


def test_the_bytes_are_within_three_percent_of_the_entropy() -> None:
    rows, symbols = drawn(5, 30_000)
    shares = TABLES[rows, symbols] / entropy.WHOLE
    plain = np.random.default_rng(1).integers(0, 2, 10_000, dtype=np.uint8)
    entropy_bytes = (-np.log2(shares).sum() + len(plain)) / 8
    stream = Stream(TABLES)
    written = len(stream.lay([places_of(rows, symbols)], plain).write())
    assert entropy_bytes < written < 1.03 * entropy_bytes


@settings(max_examples=60, deadline=None)
@given(body=st.binary(max_size=300))
def test_bytes_that_nobody_wrote_end_in_a_value_error_or_in_symbols(body: bytes) -> None:
    rows, _ = drawn(1, 500)
    try:
        opened = Stream(TABLES).open(body)
        symbols = opened.read(rows)
        opened.finish(plain_bit_count(symbols[symbols > 0]))
    except ValueError:
        return
    assert len(symbols) == len(rows)


@pytest.mark.parametrize("cut", [0, 2, 3, 20, -3, -1])
def test_a_stream_that_is_cut_off_does_not_come_to_its_end(cut: int) -> None:
    rows, symbols = drawn(2, 2000)
    stream = Stream(TABLES)
    written = stream.lay([places_of(rows, symbols)], np.ones(900, np.uint8)).write()

    def read() -> None:
        opened = Stream(TABLES).open(written[:cut])
        opened.read(rows)
        opened.finish(900)

    with pytest.raises(ValueError, match=r"cut off|end|too few|no lanes"):
        read()


@settings(max_examples=50, deadline=None)
@given(states=st.lists(st.integers(1 << 32, (1 << 56) - 1), min_size=1, max_size=60))
def test_states_come_back_with_their_own_number_of_bits(states: list[int]) -> None:
    packed = lane_states.pack_states(np.array(states, np.uint64))
    found, used = lane_states.unpack_states(packed + b"more", len(states))
    assert found.tolist() == states
    assert used == len(packed)


@settings(max_examples=50, deadline=None)
@given(values=st.lists(st.integers(1, LARGEST), max_size=80), seed=st.integers(0, 9))
def test_values_come_back_from_their_symbols_and_plain_bits(values: list[int], seed: int) -> None:
    magnitudes = np.array(values, np.uint16)
    negative = np.random.default_rng(seed).random(len(values)) < 0.5
    symbols = symbols_of(magnitudes)
    assert symbols.max(initial=0) < SYMBOLS
    bits = plain_bits(negative, magnitudes)
    assert len(bits) == plain_bit_count(symbols)
    found_negative, found = values_of(symbols, bits)
    np.testing.assert_array_equal(found, magnitudes)
    np.testing.assert_array_equal(found_negative, negative)


def test_every_table_adds_up_and_gives_every_symbol_a_chance() -> None:
    counts = np.zeros((5, SYMBOLS))
    counts[1, 0], counts[2, 3], counts[3] = 1e12, 1, 7
    for table in (frequencies_of(counts), TABLES[:COMMON, :VALUE_SYMBOLS], TABLES[COMMON:NOTHING, :MASKS]):
        assert table.min() >= 1
        assert (table.sum(axis=1, dtype=int) == entropy.WHOLE).all()
    assert (TABLES.sum(axis=1, dtype=int) == entropy.WHOLE).all()
    assert TABLES.shape == (ROWS, SYMBOLS)


def test_masks_of_independent_coefficients_are_as_frequent_as_their_bits_are() -> None:
    zero = np.array([0.3, 0.9])
    shares = independent_masks(zero)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    np.testing.assert_allclose(shares[:, 1::2].sum(axis=1), 1 - zero)
    occurrence = occurrence_of(TABLES)
    assert (np.diff(occurrence) >= 0).all()
    assert occurrence[0] < 0.01
    assert occurrence[-1] > 0.9


@settings(max_examples=50, deadline=None)
@given(words=st.lists(st.integers(0, (1 << 24) - 1), max_size=40))
def test_words_of_three_bytes_come_back(words: list[int]) -> None:
    packed = lane_states.pack_words(np.array(words, np.uint64))
    assert len(packed) == 3 * len(words)
    assert lane_states.unpack_words(packed).tolist() == words
