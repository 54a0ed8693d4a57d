"""From feature maps on a device to patch embeddings there; `patchline.vision.nearest.embedding` says what they are."""

# mypy: allow-untyped-calls

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from patchline.vision.pixels.arrays import Size


def embed(feature_map: Tensor, grid: Size) -> Tensor:
    """3x3 means of a map, resampled to a grid.

    Args:
        feature_map: `(B, C, h, w)`.
        grid: Rows and columns of patches.

    Returns:
        `(B, *grid, C)`, in the map's precision; a view where the map lies channels last.
    """
    pooled = functional.avg_pool2d(feature_map, 3, 1, 1)
    if tuple(pooled.shape[2:]) != tuple(grid):
        pooled = functional.interpolate(pooled, grid, mode="bilinear", align_corners=False)
    return pooled.permute(0, 2, 3, 1)


def concatenate(maps: Mapping[str, Tensor], grid: Size) -> Tensor:
    """Patch embeddings of all taps side by side, `(B, *grid, C of all taps)`."""
    return torch.cat([embed(feature_map, grid) for feature_map in maps.values()], dim=3)


def own_grid(feature_map: Tensor) -> Size:
    """The rows and columns of a map."""
    return int(feature_map.shape[2]), int(feature_map.shape[3])
