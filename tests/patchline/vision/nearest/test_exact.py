"""Pruned search against a plain float64 reference: the same neighbours, and few distances measured."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import cdist

from patchline.vision.nearest import exact, pruning
from patchline.vision.nearest.brute_force import squared_distances
from patchline.vision.nearest.exact import ExactSearch

Draw = Callable[..., np.ndarray]

RELATIVE = 1e-5


def check(stored: np.ndarray, asked: np.ndarray, k: int) -> None:
    distances, indices = ExactSearch(stored).query(asked, k)
    reference = cdist(asked.astype(np.float64), stored.astype(np.float64))
    assert distances.shape == indices.shape == (len(asked), min(k, len(stored)))
    np.testing.assert_allclose(distances, np.sort(reference, axis=1)[:, :k], rtol=RELATIVE)
    np.testing.assert_allclose(distances, np.take_along_axis(reference, indices, axis=1), rtol=RELATIVE)
    assert all(len(set(row)) == len(row) for row in indices.tolist())


@pytest.fixture(autouse=True)
def small_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that banks of a test's size have many, and a rest beyond the reduced dimensions."""
    monkeypatch.setattr(pruning, "_FEWEST_ROWS", 4)
    monkeypatch.setattr(exact, "_DIMENSIONS", 6)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    bank=st.integers(1, 400),
    queries=st.integers(1, 40),
    channels=st.integers(1, 24),
    k=st.integers(1, 12),
    offset=st.sampled_from([0.0, 30.0, 1e4]),
    seed=st.integers(0, 100),
)
def test_neighbours_are_those_of_a_float64_reference(
    bank: int, queries: int, channels: int, k: int, offset: float, seed: int, patches: Draw
) -> None:
    check(patches(bank, channels, seed, offset), patches(queries, channels, seed + 1000, offset), k)


@given(
    bank=arrays(np.float32, st.tuples(st.integers(1, 60), st.just(5)), elements=st.integers(-2, 2)),
    asked=arrays(np.float32, (7, 5), elements=st.integers(-3, 3)),
    k=st.integers(1, 6),
)
def test_ties_and_equal_rows_lose_no_neighbour(bank: np.ndarray, asked: np.ndarray, k: int) -> None:
    check(bank, asked, k)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(
    channels=st.sampled_from([5, 40, 200]),
    k=st.sampled_from([1, 4]),
    scale=st.sampled_from([1e-3, 1.0, 1e3]),
    offset=st.sampled_from([0.0, 300.0]),
    seed=st.integers(0, 100),
)
def test_the_answer_is_the_smallest_of_all_distances_bit_for_bit_and_the_same_alone(
    channels: int, k: int, scale: float, offset: float, seed: int, patches: Draw
) -> None:
    stored, asked = patches(900, channels, seed, offset), patches(12, channels, seed + 1000, offset)
    stored, asked = (scale * stored).astype(np.float32), (scale * asked).astype(np.float32)
    search = ExactSearch(stored)
    assume(search.survivors(asked, k) is not None)
    distances, indices = search.query(asked, k)
    squared = squared_distances(asked, stored, *np.divmod(np.arange(12 * 900), 900)).reshape(12, 900)
    order = np.argsort(squared, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(indices, order)
    np.testing.assert_array_equal(distances, np.sqrt(np.take_along_axis(squared, order, axis=1)))
    for row in range(12):
        one = asked[row : row + 1]
        if search.survivors(one, k) is not None:
            alone = search.query(one, k)
            np.testing.assert_array_equal(alone[0], distances[row : row + 1])
            np.testing.assert_array_equal(alone[1], indices[row : row + 1])


def test_of_equally_near_rows_the_lowest_comes_first() -> None:
    stored = np.repeat(np.eye(12, dtype=np.float32), 20, axis=0)
    _, indices = ExactSearch(stored).query(stored[45:46], 5)
    np.testing.assert_array_equal(indices[0], np.arange(40, 45))


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_a_vector_of_the_bank_is_at_distance_zero_exactly(offset: float, patches: Draw) -> None:
    stored = patches(3000, 32, 0, offset)
    distances, rows = ExactSearch(stored).nearest(stored)
    np.testing.assert_array_equal(distances, 0.0)
    np.testing.assert_array_equal(rows, np.arange(3000))


def test_queries_far_away_find_their_nearest_too(patches: Draw) -> None:
    check(patches(2000, 16, 0), 1000 * patches(30, 16, 1), 3)


def test_most_rows_are_ruled_out_where_vectors_have_structure(monkeypatch: pytest.MonkeyPatch, patches: Draw) -> None:
    monkeypatch.undo()
    stored, asked = patches(8000, 200, 0), patches(500, 200, 1)
    pairs = ExactSearch(stored).survivors(asked)
    assert pairs is not None
    assert len(pairs[0]) < 0.05 * len(stored) * len(asked)
    check(stored, asked, 1)


def test_where_nothing_can_be_ruled_out_the_answer_is_right_all_the_same(noise: Draw) -> None:
    stored, asked = noise(3000, 64, 0), noise(40, 64, 1)
    assert ExactSearch(stored).survivors(asked) is None
    check(stored, asked, 4)
    same = np.full((500, 8), 3, dtype=np.float32)
    distances, _ = ExactSearch(same).query(same[:5], 2)
    np.testing.assert_array_equal(distances, 0.0)


def test_more_neighbours_than_a_cell_has_rows(patches: Draw) -> None:
    check(patches(300, 8, 0), patches(10, 8, 1), 250)


def test_queries_in_blocks_are_answered_as_all_at_once(monkeypatch: pytest.MonkeyPatch, patches: Draw) -> None:
    search, asked = ExactSearch(patches(2000, 16, 0)), patches(100, 16, 1)
    whole = search.query(asked, 3)
    monkeypatch.setattr(exact, "_QUERY_BLOCK", 7)
    parts = search.query(asked, 3)
    np.testing.assert_array_equal(whole[0], parts[0])
    np.testing.assert_array_equal(whole[1], parts[1])


@pytest.mark.parametrize("keys", [1, 64, 5000])
def test_the_answer_is_the_same_however_many_keys_are_looked_through_at_once(
    keys: int, monkeypatch: pytest.MonkeyPatch, patches: Draw
) -> None:
    search, asked = ExactSearch(patches(2000, 16, 0)), patches(100, 16, 1)
    usual, pairs = search.query(asked, 3), search.survivors(asked, 3)
    monkeypatch.setattr(pruning, "_KEYS", keys)
    other = search.query(asked, 3)
    assert pairs is not None
    np.testing.assert_array_equal(usual[0], other[0])
    np.testing.assert_array_equal(usual[1], other[1])
    np.testing.assert_array_equal(np.stack(pairs), np.stack(search.survivors(asked, 3)))  # type: ignore[arg-type]


def test_what_is_not_a_number_is_near_nothing(patches: Draw) -> None:
    asked = patches(4, 16, 1)
    asked[2, 3] = np.nan
    distances, _ = ExactSearch(patches(2000, 16, 0)).nearest(asked)
    assert np.isnan(distances[2])
    assert np.isfinite(np.delete(distances, 2)).all()


def test_nothing_asked_is_nothing_found(patches: Draw) -> None:
    distances, rows = ExactSearch(patches(200, 16, 0)).nearest(np.empty((0, 16), dtype=np.float32))
    assert distances.shape == rows.shape == (0,)


def test_bank_and_queries_are_not_changed(patches: Draw) -> None:
    stored, asked = patches(500, 12, 0), patches(5, 12, 1)
    before = stored.copy(), asked.copy()
    ExactSearch(stored).query(asked, 3)
    np.testing.assert_array_equal(stored, before[0])
    np.testing.assert_array_equal(asked, before[1])
