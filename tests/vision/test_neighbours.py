"""Nearest neighbours against a plain float64 reference."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from vision import neighbours
from vision.neighbours import ExactSearch


def vectors(count: int, channels: int, seed: int, offset: float = 0.0) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal((count, channels)) + offset).astype(np.float32)


@given(
    bank=st.integers(1, 80),
    queries=st.integers(0, 20),
    channels=st.integers(1, 9),
    k=st.integers(1, 90),
    offset=st.sampled_from([0.0, 300.0]),
)
def test_the_nearest_are_the_nearest(bank: int, queries: int, channels: int, k: int, offset: float) -> None:
    stored, asked = vectors(bank, channels, 0, offset), vectors(queries, channels, 1, offset)
    distances, indices = ExactSearch(stored).query(asked, k)
    expected = np.sort(cdist(asked, stored), axis=1)[:, :k]
    assert distances.shape == indices.shape == expected.shape
    np.testing.assert_allclose(distances, expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(
        distances, np.take_along_axis(cdist(asked, stored), indices, axis=1), rtol=1e-4, atol=1e-5
    )


def test_blocks_do_not_change_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    stored, asked = vectors(500, 8, 0), vectors(70, 8, 1)
    whole = ExactSearch(stored).query(asked, 9)
    monkeypatch.setattr(neighbours, "_QUERY_BLOCK", 11)
    monkeypatch.setattr(neighbours, "_BANK_BLOCK", 13)
    parts = ExactSearch(stored).query(asked, 9)
    np.testing.assert_allclose(whole[0], parts[0], rtol=1e-6)
    np.testing.assert_array_equal(whole[1], parts[1])


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_a_vector_of_the_bank_is_at_distance_zero_exactly(offset: float) -> None:
    stored = vectors(300, 32, 0, offset)
    distances, indices = ExactSearch(stored).query(stored, 1)
    np.testing.assert_array_equal(distances[:, 0], 0.0)
    np.testing.assert_array_equal(indices[:, 0], np.arange(300))


def test_the_bank_is_not_changed() -> None:
    stored, asked = vectors(30, 4, 0), vectors(5, 4, 1)
    before = stored.copy(), asked.copy()
    ExactSearch(stored).query(asked, 3)
    np.testing.assert_array_equal(stored, before[0])
    np.testing.assert_array_equal(asked, before[1])
