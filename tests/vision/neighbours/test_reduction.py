"""The one promise of a reduction: no distance grows."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from vision.neighbours.reduction import Reduction

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
