"""From feature maps to patch embeddings.

Pooling over a neighbourhood and resampling to another grid are linear along each axis, so each is one small matrix an
axis, and doing one after the other is their product. `concatenate` therefore pays two matrix products a tap.
"""

from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from patchline.vision.pixels.arrays import Floats, Size


def average_pool_3x3(feature_map: Floats) -> Floats:
    """The mean over each 3x3 neighbourhood, at stride 1 (PatchCore, section 3.1: locally aware patch features).

    Outside the map counts as zero and the divisor is always 9, as in `torch.nn.functional.avg_pool2d(x, 3, 1, 1)` with
    its default `count_include_pad=True`; so border patches are smaller, but alike in every picture.

    Args:
        feature_map: `(B, C, h, w)`.

    Returns:
        The same shape.
    """
    height, width = feature_map.shape[2:]
    return _apply(feature_map, _pooling(height), _pooling(width))


def align(feature_map: Floats, grid: Size) -> Floats:
    """The map resampled bilinearly to another grid (pixel centres, `align_corners=False`).

    Like torch's `interpolate`, it does not average over what it skips: pool first for a grid over twice as coarse.

    Args:
        feature_map: `(B, C, h, w)`.
        grid: Height and width wanted.

    Returns:
        `(B, C, *grid)`.
    """
    height, width = feature_map.shape[2:]
    return _apply(feature_map, interpolation(height, grid[0]), interpolation(width, grid[1]))


def concatenate(maps: Mapping[str, Floats], grid: Size | None = None, *, pool: bool = False) -> Floats:
    """Patch embeddings: every map on one grid, their channels side by side in the order of the taps.

    Args:
        maps: Tap -> `(B, C, h, w)`.
        grid: Rows and columns of patches; the finest of the maps' own grids by default.
        pool: Average each map over 3x3 neighbourhoods before it is resampled, as `average_pool_3x3` does.

    Returns:
        `(B, gh, gw, C of all taps)` float32.
    """
    rows, columns = grid or max((array.shape[2:] for array in maps.values()), key=lambda shape: shape[0] * shape[1])
    if len(maps) == 1:
        return _resampled(next(iter(maps.values())), (rows, columns), pool)
    count = len(next(iter(maps.values())))
    embeddings = np.empty((count, rows, columns, sum(array.shape[1] for array in maps.values())), dtype=np.float32)
    start = 0
    for array in maps.values():
        end = start + array.shape[1]
        embeddings[..., start:end] = _resampled(array, (rows, columns), pool)
        start = end
    return embeddings


def default_grid(maps: Mapping[str, Floats]) -> Size:
    """Rows and columns of the finest tap that has no more than twice those of the coarsest.

    Beyond that a search costs four times as much for what is mostly interpolated.
    """
    sizes = sorted((array.shape[2], array.shape[3]) for array in maps.values())
    rows, columns = sizes[0]
    return max(size for size in sizes if size[0] <= 2 * rows and size[1] <= 2 * columns)


@lru_cache(maxsize=64)
def interpolation(source: int, target: int) -> Floats:
    """Bilinear interpolation along one axis as a `(target, source)` matrix, `align_corners=False`."""
    positions = (np.arange(target) + 0.5) * source / target - 0.5
    positions = np.clip(positions, 0, source - 1)
    lower = np.minimum(positions.astype(np.intp), max(source - 2, 0))
    share = positions - lower
    matrix = np.zeros((target, source), dtype=np.float64)
    rows = np.arange(target)
    matrix[rows, lower] += 1 - share
    matrix[rows, np.minimum(lower + 1, source - 1)] += share
    return _frozen(matrix)


def _resampled(array: Floats, grid: Size, pool: bool) -> Floats:
    """A map `(B, C, h, w)` on another grid, channels last: they are moved there while the map has its smaller width."""
    count, channels, height, width = array.shape
    rows, columns = grid
    across, transposed = _resampling(width, columns, pool)
    if columns <= width:
        narrowed = np.matmul(array.reshape(count, channels * height, width), transposed)
        lines = np.ascontiguousarray(narrowed.reshape(count, channels, height, columns).transpose(0, 2, 3, 1))
    else:
        lines = np.matmul(across, np.ascontiguousarray(array.transpose(0, 2, 3, 1)))
    down, _ = _resampling(height, rows, pool)
    resampled: Floats = np.matmul(down, lines.reshape(count, height, columns * channels))
    return resampled.reshape(count, rows, columns, channels)


@lru_cache(maxsize=64)
def _resampling(source: int, target: int, pool: bool) -> tuple[Floats, Floats]:
    """Resampling along one axis, of means of three if pooled first: `(target, source)`, and the same transposed."""
    matrix = interpolation(source, target)
    if pool:
        matrix = _frozen(matrix @ _pooling(source))
    return matrix, _frozen(np.ascontiguousarray(matrix.T))


@lru_cache(maxsize=64)
def _pooling(length: int) -> Floats:
    ones = np.ones(length)
    return _frozen((np.diag(ones) + np.diag(ones[1:], 1) + np.diag(ones[1:], -1)) / 3)


def _frozen(matrix: np.ndarray) -> Floats:
    frozen = matrix.astype(np.float32)
    frozen.flags.writeable = False
    return frozen


def _apply(feature_map: Floats, down: Floats, across: Floats) -> Floats:
    result: Floats = np.matmul(np.matmul(down, feature_map), across.T)
    return result
