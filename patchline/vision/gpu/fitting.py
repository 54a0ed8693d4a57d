"""Fits on a device what `patchline.vision.detectors` fits on a CPU: the same tensors and parameters."""

# mypy: allow-untyped-calls

from collections.abc import Iterable, Mapping
from math import ceil, tanh
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from patchline.vision.gpu.cells import cells_within, layout_of
from patchline.vision.gpu.embedding import concatenate, embed, own_grid
from patchline.vision.gpu.k_centre import greedy_k_centre
from patchline.vision.gpu.patchcore import default_grid
from patchline.vision.pixels.arrays import Progress, Size
from patchline.wire.errors import MisconfiguredError

CELL_PATCHES = 4
"""As in `patchline.vision.detectors.fapm_parameters`."""

_BLOCK = 1 << 26


class Fitted(NamedTuple):
    """What a detector has learnt, as an artifact keeps it.

    Attributes:
        tensors: As the detector's `tensors()`.
        parameters: As the detector's `parameters`, for `restore`.
    """

    tensors: dict[str, NDArray[Any]]
    parameters: dict[str, Any]


def fit_patchcore(
    batches: Iterable[Mapping[str, Tensor]],
    *,
    seed: int,
    coreset_ratio: float = 0.1,
    grid: Size | None = None,
    on_progress: Progress | None = None,
) -> Fitted:
    """PatchCore's memory bank of the feature maps of normal pictures (its sections 3.1 and 3.2).

    Raises:
        MisconfiguredError: There is no picture.
    """
    patches = []
    for maps in batches:
        chosen = grid or default_grid([own_grid(each) for each in maps.values()])
        patches.append(concatenate(maps, chosen).float().flatten(0, 2))
    vectors = _together(patches)
    count = ceil(coreset_ratio * len(vectors))
    rows = greedy_k_centre(vectors[None], count, seed=seed, on_progress=on_progress)[0]
    parameters = {
        "coreset_ratio": coreset_ratio,
        "neighbours": 9,
        "score": "max",
        "grid": grid,
        "sigma": 4.0,
        "seed": seed,
    }
    return Fitted({"bank": vectors[rows.sort().values].cpu().numpy()}, parameters)


def fit_fapm(
    batches: Iterable[Mapping[str, Tensor]],
    *,
    seed: int,
    coreset_ratio: float = 0.1,
    cells: Size | None = None,
    threshold: float = 0.5,
    grid: Size | None = None,
) -> Fitted:
    """FAPM's memories of the feature maps of normal pictures, one for each layer and cell, adaptive by equation 1.

    Grid and cells are by default those of `patchline.vision.detectors.fapm_parameters`.

    Raises:
        MisconfiguredError: There is no picture.
    """
    layers: dict[str, list[Tensor]] = {}
    for maps in batches:
        grid = grid or default_grid([own_grid(each) for each in maps.values()])
        cells = cells or (max(1, round(grid[0] / CELL_PATCHES)), max(1, round(grid[1] / CELL_PATCHES)))
        for tap, feature_map in maps.items():
            layers.setdefault(tap, []).append(embed(feature_map, cells_within(own_grid(feature_map), grid)).float())
    if grid is None or cells is None:
        raise _no_picture()
    tensors: dict[str, NDArray[Any]] = {"weights": np.ones(len(layers), dtype=np.float64)}
    for index, patches in enumerate(layers.values()):
        bank, lengths, doubled = _layer(_together(patches), cells, ratio=coreset_ratio, threshold=threshold, seed=seed)
        tensors |= {f"bank.{index}": bank, f"lengths.{index}": lengths, f"doubled.{index}": doubled}
    parameters = {
        "cells": cells,
        "layer_wise": True,
        "coreset_ratio": coreset_ratio,
        "adaptive": "absolute",
        "adaptive_threshold": threshold,
        "neighbours": 4,
        "score": "max",
        "grid": grid,
        "sigma": 4.0,
        "seed": seed,
    }
    return Fitted(tensors, parameters)


def _layer(
    patches: Tensor, cells: Size, *, ratio: float, threshold: float, seed: int
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Bank, lengths and doubled of one layer, of `(pictures, rows, columns, C)` patches."""
    count, rows, columns, _ = patches.shape
    within = cells_within((rows, columns), cells)
    members = layout_of(1, (rows, columns), within, patches.device).members
    lengths = torch.bincount(layout_of(1, (rows, columns), within, patches.device).cell_of)
    by_place = patches.flatten(1, 2)
    banks: list[Tensor] = [patches[:0]] * len(members)
    doubled = np.zeros(len(members), dtype=np.uint8)
    for length in lengths.unique().tolist():
        alike = (lengths == length).nonzero()[:, 0]
        vectors = by_place[:, members[alike, :length]].permute(1, 0, 2, 3).flatten(1, 2)
        total = count * length
        kept = _chosen(vectors, ceil(ratio * total), seed)
        wide = [tanh(radius**2 / 2) > threshold for radius in _radii(vectors, kept)]
        more = [at for at, each in enumerate(wide) if each]
        again = _chosen(vectors[more], min(total, ceil(2 * ratio * total)), seed) if more else kept
        for at, cell in enumerate(alike.tolist()):
            banks[cell] = again[more.index(at)] if wide[at] else kept[at]
            doubled[cell] = wide[at]
    lengths_kept = np.array([len(bank) for bank in banks], dtype=np.int32)
    return torch.cat(banks).cpu().numpy(), lengths_kept.reshape(within), doubled.reshape(within)


def _chosen(vectors: Tensor, count: int, seed: int) -> Tensor:
    rows = greedy_k_centre(vectors, count, seed=seed).sort(dim=1).values
    return vectors.gather(1, rows[..., None].expand(-1, -1, vectors.shape[2]))


def _radii(vectors: Tensor, banks: Tensor) -> list[float]:
    """The largest distance of each set's vectors to its bank, in float64 so that small ones keep their digits."""
    step = max(1, _BLOCK // (banks.shape[0] * banks.shape[1]))
    radii = torch.zeros(len(vectors), dtype=torch.float64, device=vectors.device)
    for start in range(0, vectors.shape[1], step):
        nearest = torch.cdist(vectors[:, start : start + step].double(), banks.double()).amin(dim=2)
        radii = torch.maximum(radii, nearest.amax(dim=1))
    return [float(radius) for radius in radii]


def _together(patches: list[Tensor]) -> Tensor:
    if not patches:
        raise _no_picture()
    return torch.cat(patches)


def _no_picture() -> MisconfiguredError:
    return MisconfiguredError("there is no normal picture to learn from", remedy="give at least one")
