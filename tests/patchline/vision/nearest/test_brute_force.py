"""Brute force against a plain float64 reference."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from patchline.vision.nearest import brute_force
from patchline.vision.nearest.brute_force import BruteForceSearch

Draw = Callable[..., np.ndarray]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    bank=st.integers(1, 80),
    queries=st.integers(0, 20),
    channels=st.integers(1, 9),
    k=st.integers(1, 90),
    offset=st.sampled_from([0.0, 300.0]),
)
def test_the_nearest_are_the_nearest(
    bank: int, queries: int, channels: int, k: int, offset: float, noise: Draw
) -> None:
    stored, asked = noise(bank, channels, 0, offset), noise(queries, channels, 1, offset)
    distances, indices = BruteForceSearch(stored).query(asked, k)
    reference = cdist(asked.astype(np.float64), stored.astype(np.float64))
    assert distances.shape == indices.shape == (queries, min(k, bank))
    np.testing.assert_allclose(distances, np.sort(reference, axis=1)[:, :k], rtol=1e-5)
    np.testing.assert_allclose(distances, np.take_along_axis(reference, indices, axis=1), rtol=1e-5)


def test_blocks_do_not_change_the_answer(monkeypatch: pytest.MonkeyPatch, noise: Draw) -> None:
    stored, asked = noise(500, 8, 0), noise(70, 8, 1)
    whole = BruteForceSearch(stored).query(asked, 9)
    for block in ("_QUERY_BLOCK", "_BANK_BLOCK", "_PAIR_BLOCK"):
        monkeypatch.setattr(brute_force, block, 13)
    parts = BruteForceSearch(stored).query(asked, 9)
    np.testing.assert_allclose(whole[0], parts[0], rtol=1e-6)
    np.testing.assert_array_equal(whole[1], parts[1])


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_a_vector_of_the_bank_is_at_distance_zero_exactly(offset: float, noise: Draw) -> None:
    stored = noise(300, 32, 0, offset)
    distances, indices = BruteForceSearch(stored).query(stored, 1)
    np.testing.assert_array_equal(distances[:, 0], 0.0)
    np.testing.assert_array_equal(indices[:, 0], np.arange(300))


def test_of_equally_near_rows_the_lowest_comes_first() -> None:
    stored = np.repeat(np.eye(3, dtype=np.float32), 5, axis=0)
    _, indices = BruteForceSearch(stored).query(stored[7:8], 5)
    np.testing.assert_array_equal(indices[0], np.arange(5, 10))
