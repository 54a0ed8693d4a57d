"""The one promise of a reduction: no distance grows."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from patchline.vision.nearest.reduction import Reduction, _root_error

Draw = Callable[..., np.ndarray]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(count=st.integers(1, 60), channels=st.integers(1, 40), dimensions=st.integers(1, 20), seed=st.integers(0, 99))
def test_no_two_vectors_get_farther_apart(count: int, channels: int, dimensions: int, seed: int, patches: Draw) -> None:
    stored, asked = patches(count, channels, seed), 10 * patches(15, channels, seed + 1)
    reduction = Reduction(stored, dimensions)
    reduced = cdist(reduction.reduce(asked), reduction.reduce(stored))
    lengths = np.linalg.norm(asked, axis=1, keepdims=True) + np.linalg.norm(stored, axis=1)
    assert (reduced <= cdist(asked.astype(np.float64), stored.astype(np.float64)) + 2.0**-20 * lengths).all()


@pytest.mark.parametrize("dimensions", [30, 99])
def test_all_dimensions_keep_all_distances(dimensions: int, patches: Draw) -> None:
    vectors = patches(50, 30, 0)
    reduced = Reduction(vectors, dimensions).reduce(vectors)
    assert reduced.shape == (50, 31)
    np.testing.assert_allclose(cdist(reduced, reduced), cdist(vectors, vectors), rtol=1e-5, atol=1e-5)


def test_the_leading_axes_carry_the_most(patches: Draw) -> None:
    vectors = patches(2000, 64, 0)
    variances = Reduction(vectors, 10).reduce(vectors)[:, :-1].var(axis=0)
    assert (np.diff(variances) <= 0.01 * variances[0]).all()
    exact = np.linalg.eigvalsh(np.cov(vectors.T))[::-1]
    assert variances.sum() > 0.95 * exact[:10].sum()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(
    channels=st.integers(1, 300),
    dimensions=st.integers(1, 60),
    offset=st.sampled_from([0.0, 30.0, 1e4]),
    scale=st.sampled_from([1e-3, 1.0, 1e3]),
    seed=st.integers(0, 99),
)
def test_an_estimate_is_no_farther_off_than_it_says(
    channels: int, dimensions: int, offset: float, scale: float, seed: int, patches: Draw
) -> None:
    stored = patches(50, channels, seed, offset)
    asked = (scale * patches(20, channels, seed + 1) + offset).astype(np.float32)
    reduction = Reduction(stored, dimensions)
    estimate = np.empty((20, reduction.dimensions + 1), dtype=np.float32)
    error = reduction.estimate(asked, estimate)
    reduced = reduction.reduce(asked)
    lengths = np.linalg.norm(reduced, axis=1)
    away = np.linalg.norm(estimate - reduced, axis=1)
    assert (away <= error + 2.0**-20 * lengths).all()
    assert (error <= 0.02 * lengths).all()


def test_a_root_is_as_far_off_as_its_square_may_be() -> None:
    roots, off = np.array([0.0, 0.1, 0.2, 3.0]), 0.04
    error = _root_error(roots, np.full(4, off))
    squares = roots * roots
    np.testing.assert_array_less(np.sqrt(squares + off) - roots, error + 1e-12)
    np.testing.assert_array_less(roots - np.sqrt(np.maximum(squares - off, 0)), error + 1e-12)
    np.testing.assert_array_less(error, 0.2 + 1e-12)
    assert _root_error(np.zeros(1), np.zeros(1)) == 0
