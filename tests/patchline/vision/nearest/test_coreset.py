"""The coreset against plain greedy k-centre in float64."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from patchline.vision.nearest import coreset
from patchline.vision.nearest.coreset import greedy_k_centre


def plain_greedy(vectors: np.ndarray, first: int, count: int) -> list[int]:
    vectors = vectors.astype(np.float64)
    chosen = [first]
    distances = np.linalg.norm(vectors - vectors[first], axis=1)
    while len(chosen) < count:
        chosen.append(int(distances.argmax()))
        distances = np.minimum(distances, np.linalg.norm(vectors - vectors[chosen[-1]], axis=1))
    return chosen


def radius(vectors: np.ndarray, chosen: np.ndarray) -> float:
    return float(cdist(vectors, vectors[chosen]).min(axis=1).max())


def clusters(count: int, channels: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = 10 * rng.standard_normal((7, channels))
    return (centres[rng.integers(0, 7, count)] + rng.standard_normal((count, channels))).astype(np.float32)


@given(count=st.integers(2, 200), channels=st.integers(1, 12), seed=st.integers(0, 1000), share=st.floats(0.01, 1))
def test_the_choice_is_that_of_the_plain_algorithm(count: int, channels: int, seed: int, share: float) -> None:
    vectors = clusters(count, channels, seed)
    wanted = max(1, int(share * count))
    chosen = greedy_k_centre(vectors, wanted, seed=seed, projection_dimensions=None)
    assert len(set(chosen.tolist())) == wanted
    plain = plain_greedy(vectors, int(chosen[0]), wanted)
    if chosen.tolist() != plain:  # picks at distances float32 cannot tell apart may swap; the radius tells
        spread = float(np.linalg.norm(vectors - vectors.mean(axis=0), axis=1).max())
        assert radius(vectors, chosen) == pytest.approx(radius(vectors, np.array(plain)), rel=1e-3, abs=1e-3 * spread)


@pytest.mark.parametrize("channels", [9, 16])
def test_cells_change_nothing_about_the_choice(channels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = clusters(2000, channels, seed=3)
    whole = greedy_k_centre(vectors, 300, seed=1, projection_dimensions=None)
    monkeypatch.setattr(coreset, "_ALONE", 0)
    parts = greedy_k_centre(vectors, 300, seed=1, projection_dimensions=None)
    np.testing.assert_array_equal(whole, parts)
    assert whole.tolist() == plain_greedy(vectors, int(whole[0]), 300)


def test_equal_vectors_are_each_chosen_once_in_cells_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coreset, "_ALONE", 0)
    vectors = np.repeat(clusters(40, 4, seed=0), 20, axis=0)
    assert sorted(greedy_k_centre(vectors, len(vectors), seed=0)) == list(range(len(vectors)))
    few = greedy_k_centre(vectors, 40, seed=0)
    assert len(np.unique(vectors[few], axis=0)) == 40


def test_the_projection_nearly_keeps_the_radius() -> None:
    vectors = clusters(1500, 200, seed=0)
    exact = greedy_k_centre(vectors, 150, seed=0, projection_dimensions=None)
    projected = greedy_k_centre(vectors, 150, seed=0, projection_dimensions=32)
    assert not np.array_equal(exact, projected)
    assert radius(vectors, projected) < 1.25 * radius(vectors, exact)


def test_equal_vectors_are_each_chosen_once() -> None:
    vectors = np.ones((20, 4), dtype=np.float32)
    assert sorted(greedy_k_centre(vectors, 20, seed=0)) == list(range(20))


def test_the_seed_decides_the_choice() -> None:
    vectors = clusters(400, 8, seed=0)
    first = greedy_k_centre(vectors, 40, seed=5)
    np.testing.assert_array_equal(first, greedy_k_centre(vectors, 40, seed=5))
    assert not np.array_equal(first, greedy_k_centre(vectors, 40, seed=6))


def test_progress_is_told_up_to_the_end() -> None:
    reports: list[tuple[int, int]] = []
    greedy_k_centre(clusters(300, 8, seed=0), 50, seed=0, on_progress=lambda done, total: reports.append((done, total)))
    assert reports[-1] == (50, 50)


@pytest.mark.parametrize("count", [0, 11])
def test_an_impossible_count_is_a_bug_of_the_caller(count: int) -> None:
    with pytest.raises(ValueError, match="cannot choose"):
        greedy_k_centre(np.zeros((10, 2), dtype=np.float32), count, seed=0)


def test_vectors_are_not_changed() -> None:
    vectors = clusters(100, 8, seed=0)
    before = vectors.copy()
    greedy_k_centre(vectors, 10, seed=0)
    np.testing.assert_array_equal(vectors, before)
