"""FAPM: a memory of its own for every cell of the picture and every layer, so that little is compared with little.

Kim, Park, Cho and Lee, "FAPM: Fast Adaptive Patch Memory for Real-Time Industrial Anomaly Detection", 2022; sections
and equations are its. Its authors released code for inference only. What is theirs and what is reconstructed here:

- The paper's: patch-wise and layer-wise memory (2.1), greedy k-centre in each at 10 %, sampled again at the doubled
  ratio where equation 1 exceeds 0.5 (2.2), distance to the nearest vector of the patch's own cell, a weighted sum of
  the layers, a blur with sigma 4 (2.3), 7x7 cells and 4 neighbours (3.1).
- From the released inference code: 3x3 average pooling of the features; the picture's score, each layer's largest
  distance times `1 - max(exp) / sum(exp)` over the distances to its 4 nearest neighbours; coarse layers are repeated to
  the grid of the fine one before they are added.
- Reconstructed: the layers' weights, of which nothing is said (1 each); distances in a random projection while the
  coreset is chosen, as in PatchCore; cells that do not divide the grid; a cell that keeps fewer vectors than there are
  neighbours, which counts its farthest again.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from patchline.vision.detectors.fapm_cells import cells_within
from patchline.vision.detectors.fapm_layer import Layer, layers_of, learn, tensors_of
from patchline.vision.detectors.fapm_memory import CellMemory
from patchline.vision.detectors.fapm_parameters import FapmParameters, read, resolved
from patchline.vision.detectors.fitted import FittedDetector, no_picture, refuse_other_maps
from patchline.vision.detectors.protocol import Embedded, PatchScores
from patchline.vision.detectors.scoring import picture_scores
from patchline.vision.nearest.embedding import concatenate
from patchline.vision.pixels.arrays import FeatureMaps, Floats, Progress, Size
from patchline.wire.errors import MisconfiguredError

_THOUSAND = 1000


class Fapm(FittedDetector[FapmParameters]):
    """FAPM with exact search; see `FapmParameters` for what can be chosen."""

    name: ClassVar[str] = "fapm"

    examples: ClassVar[dict[str, Any]] = {
        "cells": (2, 2),
        "patch_wise": False,
        "layer_wise": False,
        "coreset_ratio": 0.5,
        "adaptive": "off",
        "adaptive_threshold": 0.9,
        "neighbours": 0,
        "layer_weights": [1.0, 3.0],
        "score": "top",
        "grid": (7, 6),
        "projection_dimensions": 3,
        "sigma": 1.0,
        "seed": 1,
    }

    def __init__(self, layers: list[Layer], parameters: FapmParameters) -> None:
        super().__init__(parameters)
        self._layers = layers
        self._memories = [CellMemory(layer.bank, layer.lengths) for layer in layers]

    @classmethod
    def fit(
        cls,
        batches: Iterable[FeatureMaps],
        *,
        seed: int,
        on_progress: Progress | None = None,
        **parameters: Any,
    ) -> Self:
        """Collect the patches of normal pictures by layer and cell and keep a coreset of each (2.1 and 2.2).

        Raises:
            MisconfiguredError: A parameter is unknown or out of range, or there is no picture.
        """
        settings = read({**parameters, "seed": seed})
        batches_of_layers: list[Embedded] = []
        for maps in batches:
            settings = resolved(settings, maps)
            batches_of_layers.append(_embed(maps, settings))
        if not batches_of_layers:
            raise no_picture()
        names = list(batches_of_layers[0])
        weights = _weights(settings, len(names))
        layers = []
        for index, name in enumerate(names):
            embeddings = np.concatenate([batch.pop(name) for batch in batches_of_layers])
            progress = None if on_progress is None else _part(on_progress, index, len(names))
            layers.append(learn(embeddings, weights[index], settings, progress))
        return cls(layers, settings)

    @property
    def share_doubled(self) -> tuple[float, ...]:
        """For each layer, the share of its cells that were sampled at the doubled ratio."""
        return tuple(float(layer.doubled.mean()) for layer in self._layers)

    def embed(self, maps: FeatureMaps) -> Embedded:
        """Patches of each layer: 3x3 means, averaged down to the grid."""
        embedded = _embed(maps, self._parameters)
        channels = [array.shape[-1] for array in embedded.values()]
        refuse_other_maps("channels of each layer", channels, [memory.channels for memory in self._memories], maps)
        return embedded

    def search(self, embedded: Embedded) -> PatchScores:
        """Each patch's distance to the memory of its cell, summed over the layers, and the picture's score (2.3)."""
        finest = max(embedded.values(), key=lambda array: array.shape[1] * array.shape[2])
        grid = (finest.shape[1], finest.shape[2])
        patch = np.zeros((len(finest), *grid), dtype=np.float32)
        peaks, near = [], []
        for layer, memory, embeddings in zip(self._layers, self._memories, embedded.values(), strict=True):
            distances, weight = memory.nearest(embeddings), np.float32(layer.weight)
            patch += weight * _repeated(distances, grid)
            if self._parameters.score == "max":
                flat = distances.reshape(len(patch), distances.shape[1] * distances.shape[2])
                farthest = flat.argmax(axis=1)
                places = farthest + np.arange(len(flat)) * flat.shape[1]
                peaks.append(weight * flat.take(places))
                if self._parameters.neighbours:
                    near.append(self._neighbours(memory, embeddings, farthest, places))
        if self._parameters.score != "max":
            return PatchScores(patch, picture_scores(patch, self._parameters.score))
        image = np.stack(peaks)
        if near:
            image *= _certainty(np.stack(near))
        return PatchScores(patch, image.sum(axis=0))

    def tensors(self) -> dict[str, NDArray[Any]]:
        """`weights`, and for each layer `bank.i` `(N, C)`, `lengths.i` and `doubled.i` `(cell rows, cell columns)`."""
        return tensors_of(self._layers)

    def facts(self) -> dict[str, float]:
        """For each layer: the share of cells doubled, and how many vectors a cell keeps on average."""
        facts: dict[str, float] = {}
        for index, layer in enumerate(self._layers):
            facts[f"share_doubled.{index}"] = float(layer.doubled.mean())
            facts[f"vectors_per_cell.{index}"] = float(layer.lengths.mean())
        return facts

    @classmethod
    def restore(cls, tensors: Mapping[str, NDArray[Any]], parameters: Mapping[str, Any]) -> Self:
        """The detector that gave these `tensors` and `parameters`.

        Raises:
            MisconfiguredError: A tensor is missing or not of its kind, or a parameter is unknown or wrong.
        """
        settings = read(parameters)
        return cls(layers_of(tensors), settings)

    def _neighbours(
        self, memory: CellMemory, embeddings: Floats, farthest: NDArray[np.intp], places: NDArray[np.intp]
    ) -> Floats:
        """Distances of each picture's farthest patch to the nearest vectors of a layer, `(B, k)`."""
        vectors = embeddings.reshape(-1, embeddings.shape[3]).take(places, axis=0)
        grid = (embeddings.shape[1], embeddings.shape[2])
        return memory.neighbours(vectors, farthest, grid, self._parameters.neighbours)


def _certainty(distances: Floats) -> Floats:
    """`1 - max(exp) / sum(exp)` over the distances `(..., k)` to k neighbours, nearest first."""
    powers = np.exp(distances - distances[..., -1:], dtype=np.float64)
    certainty: Floats = (1 - 1 / powers.sum(axis=-1)).astype(np.float32)
    return certainty


def _embed(maps: FeatureMaps, settings: FapmParameters) -> Embedded:
    if not settings.layer_wise:
        return {"patch": concatenate(maps, settings.grid, pool=True)}
    embedded = {}
    for tap, array in maps.items():
        own = (array.shape[2], array.shape[3])
        embedded[tap] = concatenate({tap: array}, cells_within(own, settings.grid or own), pool=True)
    return embedded


def _repeated(distances: Floats, grid: Size) -> Floats:
    own = (distances.shape[1], distances.shape[2])
    if own == grid:
        return distances
    repeated: Floats = distances.reshape(len(distances), own[0] * own[1]).take(_covering(own, grid), axis=1)
    return repeated


@lru_cache(maxsize=64)
def _covering(own: Size, grid: Size) -> NDArray[np.intp]:
    """Which patch of a layer's own grid each of another grid lies in, `grid`."""
    down, across = (np.arange(fine) * coarse // fine for fine, coarse in zip(grid, own, strict=True))
    covering: NDArray[np.intp] = down[:, None] * own[1] + across
    covering.flags.writeable = False
    return covering


def _part(on_progress: Progress, part: int, parts: int) -> Progress:
    """Progress of one part of the work, in thousandths of it."""

    def progress(done: int, total: int) -> None:
        on_progress(part * _THOUSAND + done * _THOUSAND // total, parts * _THOUSAND)

    return progress


def _weights(settings: FapmParameters, layers: int) -> list[float]:
    weights = settings.layer_weights or [1.0] * layers
    if len(weights) != layers:
        raise MisconfiguredError(
            f"there are {len(weights)} weights for {layers} layers",
            where="detector fapm, parameter layer_weights",
            remedy="give one for each layer, or none",
        )
    return weights
