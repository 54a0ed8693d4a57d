"""Patch embeddings against plain references, and against torch where it is installed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import uniform_filter

from patchline.vision.nearest.embedding import align, average_pool_3x3, concatenate

lengths = st.integers(min_value=1, max_value=20)


def maps(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@given(height=lengths, width=lengths)
def test_pooling_is_the_mean_of_nine_with_zeros_outside(height: int, width: int) -> None:
    array = maps(2, 3, height, width)
    expected = uniform_filter(array.astype(np.float64), size=(1, 1, 3, 3), mode="constant")
    np.testing.assert_allclose(average_pool_3x3(array), expected, atol=1e-6)


@given(height=lengths, width=lengths)
def test_aligning_to_its_own_grid_changes_nothing(height: int, width: int) -> None:
    array = maps(1, 2, height, width)
    np.testing.assert_allclose(align(array, (height, width)), array, atol=1e-6)


@given(source=lengths, target=lengths)
def test_aligning_keeps_the_range_of_values_and_constants(source: int, target: int) -> None:
    array = maps(1, 1, source, source)
    aligned = align(array, (target, target))
    assert aligned.min() >= array.min() - 1e-5
    assert aligned.max() <= array.max() + 1e-5
    np.testing.assert_allclose(align(np.ones_like(array), (target, target)), 1, atol=1e-6)


def test_halving_a_grid_takes_the_mean_of_two_by_two() -> None:
    array = maps(1, 2, 8, 6)
    expected = array.reshape(1, 2, 4, 2, 3, 2).mean(axis=(3, 5))
    np.testing.assert_allclose(align(array, (4, 3)), expected, atol=1e-6)


@pytest.mark.torch
@settings(max_examples=30)
@given(source=st.tuples(lengths, lengths), target=st.tuples(lengths, lengths))
def test_pooling_and_aligning_equal_torch(source: tuple[int, int], target: tuple[int, int]) -> None:
    torch = pytest.importorskip("torch", reason="the torch extra is not installed")
    array = maps(2, 3, *source)
    pooled = torch.nn.functional.avg_pool2d(torch.from_numpy(array), 3, 1, 1)
    aligned = torch.nn.functional.interpolate(pooled, size=target, mode="bilinear", align_corners=False)
    np.testing.assert_allclose(average_pool_3x3(array), pooled.numpy(), atol=1e-6)
    np.testing.assert_allclose(align(average_pool_3x3(array), target), aligned.numpy(), atol=1e-5)


@given(
    fine=st.tuples(lengths, lengths), coarse=st.tuples(lengths, lengths), grid=st.none() | st.tuples(lengths, lengths)
)
def test_concatenating_is_pooling_aligning_and_stacking(
    fine: tuple[int, int], coarse: tuple[int, int], grid: tuple[int, int] | None
) -> None:
    taps = {"a": maps(2, 3, *fine), "b": maps(2, 5, *coarse, seed=1)}
    expected_grid = grid or max(fine, coarse, key=lambda size: size[0] * size[1])
    for pool in (False, True):
        parts = [align(average_pool_3x3(array) if pool else array, expected_grid) for array in taps.values()]
        embeddings = concatenate(taps, grid, pool=pool)
        assert embeddings.dtype == np.float32
        np.testing.assert_allclose(embeddings, np.concatenate(parts, axis=1).transpose(0, 2, 3, 1), atol=1e-5)


def test_a_map_is_resampled_alike_alone_and_in_a_batch_and_not_changed() -> None:
    array = maps(3, 4, 14, 9)
    before = array.copy()
    together = concatenate({"a": array}, (7, 12), pool=True)
    for picture in range(3):
        np.testing.assert_array_equal(concatenate({"a": array[[picture]]}, (7, 12), pool=True)[0], together[picture])
    np.testing.assert_array_equal(array, before)
