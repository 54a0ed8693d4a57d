"""What FAPM learns of one layer, and how."""

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from patchline.vision.detectors.fapm_cells import cells_within, split
from patchline.vision.detectors.fapm_memory import CellMemory
from patchline.vision.detectors.fapm_parameters import FapmParameters
from patchline.vision.detectors.fapm_sampling import Sampled, sample
from patchline.vision.detectors.protocol import all_finite
from patchline.vision.detectors.whitening import Whitening
from patchline.vision.nearest.brute_force import BruteForceSearch
from patchline.vision.pixels.arrays import Floats, Progress
from patchline.wire.errors import MisconfiguredError

_WEIGHTS = "weights"


class Layer(msgspec.Struct, frozen=True):
    """What was learnt of one layer.

    Attributes:
        bank: `(N, C)`, the vectors kept, row of cells by row of cells.
        lengths: `(cell rows, cell columns)`, how many of them each cell has.
        doubled: As `lengths`, whether the cell was sampled at the doubled ratio.
        weight: Of the layer's distances in the sum over layers, their scaling included.
        whitening: Of the layer's features, where there is one.
    """

    bank: NDArray[Any]
    lengths: NDArray[np.int32]
    doubled: NDArray[np.uint8]
    weight: float
    whitening: Whitening | None = None

    def memory(self, reach: int) -> CellMemory:
        """The banks, ready to be searched."""
        return CellMemory(self.bank.astype(np.float32, copy=False), self.lengths, reach=reach)


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
    whitening = None if settings.whitening == "off" else Whitening.learn(embeddings, settings.whitening)
    if whitening is not None:
        embeddings = whitening.apply(embeddings)
    vectors = split(embeddings, cells)
    sampled = sample(
        vectors,
        ratio=settings.coreset_ratio,
        adaptive=settings.adaptive,
        threshold=settings.adaptive_threshold,
        seed=settings.seed,
        projection_dimensions=settings.projection_dimensions,
        on_progress=on_progress,
    )
    return Layer(
        bank=np.concatenate(sampled.banks).astype(settings.bank_dtype),
        lengths=np.array([len(bank) for bank in sampled.banks], dtype=np.int32).reshape(cells),
        doubled=sampled.doubled.astype(np.uint8).reshape(cells),
        weight=weight / _median_distance(vectors, sampled) if settings.layer_scaling == "median" else weight,
        whitening=whitening,
    )


def tensors_of(layers: list[Layer]) -> dict[str, NDArray[Any]]:
    """Layers as an artifact keeps them: `weights`; `bank.i`, `lengths.i`, `doubled.i` of each; and its whitening."""
    tensors: dict[str, NDArray[Any]] = {_WEIGHTS: np.array([layer.weight for layer in layers], dtype=np.float64)}
    for index, layer in enumerate(layers):
        tensors[f"bank.{index}"] = layer.bank
        tensors[f"lengths.{index}"] = layer.lengths
        tensors[f"doubled.{index}"] = layer.doubled
        if layer.whitening is not None:
            tensors |= layer.whitening.tensors(f".{index}")
    return tensors


def layers_of(tensors: Mapping[str, NDArray[Any]], settings: FapmParameters) -> list[Layer]:
    """The layers that gave these tensors.

    Raises:
        MisconfiguredError: One is missing or not of its kind.
    """
    weights = _tensor(tensors, _WEIGHTS, "float64", dimensions=1)
    if not all_finite(weights):
        raise _wrong(_WEIGHTS)
    return [_layer(tensors, index, float(weight), settings) for index, weight in enumerate(weights)]


def _median_distance(cells: list[Floats], sampled: Sampled) -> float:
    """The median distance of normal patches to their banks, leaving each out of its own; 1 where all are alike."""
    distances = []
    for vectors, bank in zip(cells, sampled.banks, strict=True):
        found = BruteForceSearch(bank).query(vectors, 2)[0]
        distances.append(np.where(found[:, 0] > 0, found[:, 0], found[:, -1]))
    return float(np.median(np.concatenate(distances))) or 1.0


def _layer(tensors: Mapping[str, NDArray[Any]], index: int, weight: float, settings: FapmParameters) -> Layer:
    bank = _tensor(tensors, f"bank.{index}", settings.bank_dtype)
    lengths = _tensor(tensors, f"lengths.{index}", "int32")
    doubled = _tensor(tensors, f"doubled.{index}", "uint8")
    if lengths.min() < 1 or lengths.sum() != len(bank) or doubled.shape != lengths.shape or not all_finite(bank):
        raise _wrong(f"bank.{index}")
    whitening = None
    if settings.whitening != "off":
        whitening = Whitening.restore(tensors, channels=bank.shape[1], suffix=f".{index}")
    return Layer(bank, lengths, doubled, weight, whitening)


def _tensor(tensors: Mapping[str, NDArray[Any]], name: str, dtype: str, dimensions: int = 2) -> NDArray[Any]:
    tensor = tensors.get(name)
    if tensor is None or tensor.ndim != dimensions or tensor.dtype != dtype or not tensor.size:
        raise _wrong(name)
    return tensor


def _wrong(tensor: str) -> MisconfiguredError:
    return MisconfiguredError(
        "a tensor is missing or not of its kind",
        where=f"detector fapm, tensor {tensor}",
        remedy="commission the station again",
    )
