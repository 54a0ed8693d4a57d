"""FAPM on a device; `patchline.vision.detectors.fapm` says what it is, and whose."""

# mypy: allow-untyped-calls

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

import torch
from numpy.typing import NDArray
from torch import Tensor

from patchline.vision.backbones.torch_engine import Precision, arithmetic, device_of
from patchline.vision.gpu import scores
from patchline.vision.gpu.cells import cells_within, layout_of, rows_of_cells
from patchline.vision.gpu.embedding import concatenate, embed, own_grid
from patchline.vision.gpu.nearest import Banks
from patchline.vision.gpu.scores import TorchScores
from patchline.vision.pixels.arrays import Size

CARRIED: dict[str, tuple[Any, ...] | None] = {
    "cells": None,
    "patch_wise": None,
    "layer_wise": None,
    "coreset_ratio": None,
    "adaptive": None,
    "adaptive_threshold": None,
    "neighbours": None,
    "layer_weights": None,
    "score": scores.SCORES,
    "grid": None,
    "projection_dimensions": None,
    "sigma": None,
    "seed": None,
}


class _Layer(NamedTuple):
    banks: Banks
    cells: Size
    weight: float


class TorchFapm:
    """A fitted FAPM on a device.

    Args:
        tensors: Of the fitted detector.
        parameters: Of the fitted detector.
        device: `cpu` or `cuda`.
        precision: In which candidates are ranked.
        compiled: Whether torch compiles the search first, as `TorchEngine` has it.

    Raises:
        MisconfiguredError: There is no such device here, or a parameter is not carried.
    """

    def __init__(
        self,
        tensors: Mapping[str, NDArray[Any]],
        parameters: Mapping[str, Any],
        *,
        device: str = "cpu",
        precision: Precision = "float32",
        compiled: bool = False,
    ) -> None:
        scores.refuse_unknown("fapm", parameters, CARRIED)
        self._device, self._precision, self._compiled = device_of(device), precision, compiled
        self._parameters = dict(parameters)
        self._grid: Size | None = None if parameters["grid"] is None else tuple(parameters["grid"])
        self._layers = [self._layer(tensors, index) for index in range(len(tensors["weights"]))]

    def search(self, maps: Mapping[str, Tensor]) -> TorchScores:
        """Each patch's distance to the memory of its cell, summed over the layers, and the picture's score (2.3).

        Raises:
            MisconfiguredError: The maps are not of the taps that the detector was fitted on.
        """
        with torch.inference_mode(), arithmetic(self._precision):
            embedded = self._embedded(maps)
            grid = max((own_shape(each) for each in embedded), key=lambda shape: shape[0] * shape[1])
            patch, image = None, None
            for layer, patches in zip(self._layers, embedded, strict=True):
                distances, scored = self._search(layer, patches)
                wide = _repeated(distances, grid) * layer.weight
                patch = wide if patch is None else patch + wide
                image = scored * layer.weight if image is None else image + scored * layer.weight
            assert patch is not None
            assert image is not None
            score = self._parameters["score"]
            return TorchScores(patch, image if score == "max" else scores.picture_scores(patch, score))

    def render(self, patch: Tensor, size: Size) -> Tensor:
        """Anomaly maps of a size."""
        with torch.inference_mode():
            return scores.render(patch, size, float(self._parameters["sigma"]))

    def _layer(self, tensors: Mapping[str, NDArray[Any]], index: int) -> _Layer:
        lengths = tensors[f"lengths.{index}"]
        rows, counts = (torch.from_numpy(each).to(self._device) for each in rows_of_cells(lengths))
        bank = scores.on_device(tensors[f"bank.{index}"], self._device)
        banks = Banks(bank, rows, counts, precision=self._precision, compiled=self._compiled)
        cells = (lengths.shape[0], lengths.shape[1])
        return _Layer(banks, cells, float(tensors["weights"][index]))

    def _embedded(self, maps: Mapping[str, Tensor]) -> list[Tensor]:
        if not self._parameters["layer_wise"]:
            finest = max((own_grid(each) for each in maps.values()), key=lambda grid: grid[0] * grid[1])
            return [concatenate(maps, self._grid or finest)]
        return [embed(each, cells_within(own_grid(each), self._grid or own_grid(each))) for each in maps.values()]

    def _search(self, layer: _Layer, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Distances `(B, rows, columns)` of one layer's patches, and the pictures' re-weighted scores."""
        scores.check_shape("fapm", patches, (layer.banks.channels,))
        count, rows, columns, channels = patches.shape
        layout = layout_of(count, (rows, columns), layer.cells, patches.device)
        flat = patches.reshape(count * rows * columns, channels)
        by_cell = flat.index_select(0, layout.members.flatten()).reshape(*layout.members.shape, channels)
        distances = layer.banks.nearest(by_cell)[0].flatten().index_select(0, layout.slots)
        distances = distances.reshape(count, rows * columns)
        farthest = distances.max(dim=1)
        image = farthest.values
        k = int(self._parameters["neighbours"])
        if k and self._parameters["score"] == "max":
            places = farthest.indices + torch.arange(count, device=flat.device) * (rows * columns)
            image = image * _certainty(layer.banks, flat[places].float(), layout.cell_of[farthest.indices], k)
        return distances.reshape(count, rows, columns), image


def own_shape(patches: Tensor) -> Size:
    """Rows and columns of patches."""
    return int(patches.shape[1]), int(patches.shape[2])


def _certainty(banks: Banks, vectors: Tensor, cells: Tensor, k: int) -> Tensor:
    """`1 - max(exp) / sum(exp)` over the distances to k neighbours; the farthest stands in for those that lack."""
    rows, real = banks.around(vectors, cells, k)
    distances = torch.linalg.vector_norm(banks.bank[rows] - vectors[:, None], dim=2)
    farthest = distances.where(real, 0).max(dim=1, keepdim=True).values
    powers = torch.exp((distances.where(real, farthest) - farthest).double())
    return (1 - 1 / (powers.sum(dim=1) + k - powers.shape[1])).float()


def _repeated(distances: Tensor, grid: Size) -> Tensor:
    own = own_shape(distances)
    if own == grid:
        return distances
    down, across = _repetition(own, grid, distances.device)
    return distances[:, down[:, None], across]


@cache  # never forgotten: a recorded CUDA graph goes on reading it
def _repetition(own: Size, grid: Size, device: torch.device) -> tuple[Tensor, Tensor]:
    down, across = (torch.arange(fine, device=device) * few // fine for fine, few in zip(grid, own, strict=True))
    return down, across
