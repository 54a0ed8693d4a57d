"""What FAPM learns of one layer: an adaptive coreset for each cell (the paper's sections 2.1 and 2.2)."""

from collections.abc import Mapping
from math import ceil, tanh
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from patchline.vision.detectors.fapm_cells import cells_within, split
from patchline.vision.detectors.fapm_parameters import Adaptive, FapmParameters
from patchline.vision.detectors.fitted import wrong_tensor
from patchline.vision.detectors.protocol import all_finite
from patchline.vision.nearest.brute_force import BruteForceSearch
from patchline.vision.nearest.coreset import greedy_k_centre
from patchline.vision.pixels.arrays import Floats, Progress

_WEIGHTS = "weights"


class Layer(msgspec.Struct, frozen=True):
    """What was learnt of one layer.

    Attributes:
        bank: `(N, C)`, the vectors kept, row of cells by row of cells.
        lengths: `(cell rows, cell columns)`, how many of them each cell has.
        doubled: As `lengths`, whether the cell was sampled at the doubled ratio.
        weight: Of the layer's distances in the sum over layers.
    """

    bank: NDArray[Any]
    lengths: NDArray[np.int32]
    doubled: NDArray[np.uint8]
    weight: float


def learn(embeddings: Floats, weight: float, settings: FapmParameters, on_progress: Progress | None) -> Layer:
    """Keep an adaptive coreset of each cell of one layer (2.1 and 2.2).

    Args:
        embeddings: `(pictures, rows, columns, C)`.
        weight: Of the layer.
        settings: The detector's.
        on_progress: Counts vectors chosen.
    """
    grid = (embeddings.shape[1], embeddings.shape[2])
    cells = cells_within(grid, (settings.patch_wise and settings.cells) or (1, 1))
    sampled = sample(
        split(embeddings, cells),
        ratio=settings.coreset_ratio,
        adaptive=settings.adaptive,
        threshold=settings.adaptive_threshold,
        seed=settings.seed,
        projection_dimensions=settings.projection_dimensions,
        on_progress=on_progress,
    )
    return Layer(
        bank=np.concatenate(sampled.banks),
        lengths=np.array([len(bank) for bank in sampled.banks], dtype=np.int32).reshape(cells),
        doubled=sampled.doubled.astype(np.uint8).reshape(cells),
        weight=weight,
    )


def tensors_of(layers: list[Layer]) -> dict[str, NDArray[Any]]:
    """Layers as an artifact keeps them: `weights`; `bank.i`, `lengths.i`, `doubled.i` of each."""
    tensors: dict[str, NDArray[Any]] = {_WEIGHTS: np.array([layer.weight for layer in layers], dtype=np.float64)}
    for index, layer in enumerate(layers):
        tensors[f"bank.{index}"] = layer.bank
        tensors[f"lengths.{index}"] = layer.lengths
        tensors[f"doubled.{index}"] = layer.doubled
    return tensors


def layers_of(tensors: Mapping[str, NDArray[Any]]) -> list[Layer]:
    """The layers that gave these tensors.

    Raises:
        MisconfiguredError: One is missing or not of its kind.
    """
    weights = _tensor(tensors, _WEIGHTS, "float64", dimensions=1)
    if not all_finite(weights):
        raise wrong_tensor("fapm", _WEIGHTS)
    return [_layer(tensors, index, float(weight)) for index, weight in enumerate(weights)]


def _layer(tensors: Mapping[str, NDArray[Any]], index: int, weight: float) -> Layer:
    bank = _tensor(tensors, f"bank.{index}", "float32")
    lengths = _tensor(tensors, f"lengths.{index}", "int32")
    doubled = _tensor(tensors, f"doubled.{index}", "uint8")
    if lengths.min() < 1 or lengths.sum() != len(bank) or doubled.shape != lengths.shape or not all_finite(bank):
        raise wrong_tensor("fapm", f"bank.{index}")
    return Layer(bank, lengths, doubled, weight)


def _tensor(tensors: Mapping[str, NDArray[Any]], name: str, dtype: str, dimensions: int = 2) -> NDArray[Any]:
    tensor = tensors.get(name)
    if tensor is None or tensor.ndim != dimensions or tensor.dtype != dtype or not tensor.size:
        raise wrong_tensor("fapm", name)
    return tensor


class Sampled(NamedTuple):
    """What the cells of a layer keep.

    Attributes:
        banks: Vectors of each cell.
        doubled: For each cell, whether it was sampled again at the doubled ratio.
    """

    banks: list[Floats]
    doubled: NDArray[np.bool_]


def spread(radius: float) -> float:
    """Equation 1, `1 - 2 / (1 + exp(radius²))`, written as the `tanh(radius² / 2)` it equals, which cannot overflow.

    It grows with the radius, so the largest of a cell's clusters (the paper's d_max) is the one of the largest radius.

    Args:
        radius: Distance of a cluster's outermost vector from its centre. The spread passes 0.5 at 1.048.
    """
    return tanh(radius**2 / 2)


def sample(
    cells: list[Floats],
    *,
    ratio: float,
    adaptive: Adaptive,
    threshold: float,
    seed: int,
    projection_dimensions: int | None,
    on_progress: Progress | None = None,
) -> Sampled:
    """A coreset of each cell (section 2.2), sampled again at twice the ratio where its spread exceeds a threshold.

    Args:
        cells: Vectors of each cell, `(n, C)`.
        ratio: Share of a cell's vectors that is kept.
        adaptive: "off" never samples again; "absolute" is equation 1, of distances in the features' own units.
        threshold: The paper's D_th.
        seed: Of every cell's coreset.
        projection_dimensions: Of `greedy_k_centre`; radii are measured between the vectors themselves.
        on_progress: Counts vectors chosen, as if every cell were sampled again.
    """
    counts = [ceil(ratio * len(vectors)) for vectors in cells]
    doubled_counts = [min(len(vectors), ceil(2 * ratio * len(vectors))) for vectors in cells]
    progress = _Steps(sum(counts) + (sum(doubled_counts) if adaptive != "off" else 0), on_progress)

    def choose(vectors: Floats, count: int) -> Floats:
        chosen = greedy_k_centre(
            vectors, count, seed=seed, projection_dimensions=projection_dimensions, on_progress=progress.within
        )
        progress.finish(count)
        return vectors[np.sort(chosen)]

    banks = [choose(vectors, count) for vectors, count in zip(cells, counts, strict=True)]
    doubled = np.zeros(len(cells), dtype=np.bool_)
    if adaptive != "off":
        radii = [_radius(vectors, bank) for vectors, bank in zip(cells, banks, strict=True)]
        doubled[:] = [spread(radius) > threshold for radius in radii]
        for cell, (vectors, count) in enumerate(zip(cells, doubled_counts, strict=True)):
            if doubled[cell]:
                banks[cell] = choose(vectors, count)
            else:
                progress.finish(count)
    return Sampled(banks, doubled)


def _radius(vectors: Floats, centres: Floats) -> float:
    return float(BruteForceSearch(centres).query(vectors, 1)[0].max())


class _Steps:
    """One count over many coresets."""

    def __init__(self, total: int, on_progress: Progress | None) -> None:
        self._total, self._before, self._on_progress = total, 0, on_progress

    def within(self, done: int, _: int) -> None:
        if self._on_progress is not None:
            self._on_progress(self._before + done, self._total)

    def finish(self, steps: int) -> None:
        self._before += steps
        self.within(0, 0)
