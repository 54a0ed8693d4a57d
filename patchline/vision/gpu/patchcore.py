"""PatchCore on a device; `patchline.vision.detectors.patchcore` says what it is."""

# mypy: allow-untyped-calls

from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from patchline.vision.backbones.torch_engine import Precision, arithmetic, device_of
from patchline.vision.gpu import scores
from patchline.vision.gpu.embedding import concatenate, own_grid
from patchline.vision.gpu.nearest import Banks
from patchline.vision.gpu.scores import TorchScores
from patchline.vision.pixels.arrays import Size

CARRIED: dict[str, tuple[Any, ...] | None] = {
    "coreset_ratio": None,
    "projection_dimensions": None,
    "neighbours": None,
    "grid": None,
    "bank_budget_mb": None,
    "score": scores.SCORES,
    "sigma": None,
    "seed": None,
}


class TorchPatchCore:
    """A fitted PatchCore on a device.

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
        scores.refuse_unknown("patchcore", parameters, CARRIED)
        self._device, self._precision = device_of(device), precision
        self._score = str(parameters.get("score", "max"))
        self._neighbours, self._sigma = int(parameters["neighbours"]), float(parameters["sigma"])
        self._grid: Size | None = None if parameters["grid"] is None else tuple(parameters["grid"])
        bank = scores.on_device(tensors["bank"], self._device)
        rows = torch.arange(len(bank), device=self._device)[None]
        lengths = torch.tensor([len(bank)], device=self._device)
        self._banks = Banks(bank, rows, lengths, precision=precision, compiled=compiled)

    def search(self, maps: Mapping[str, Tensor]) -> TorchScores:
        """Each patch's distance to the bank (eq. 6) and the picture's re-weighted score (eq. 7), of feature maps.

        Raises:
            MisconfiguredError: They are not of the taps that the detector was fitted on.
        """
        with torch.inference_mode(), arithmetic(self._precision):
            patches = concatenate(maps, self._grid or default_grid([own_grid(each) for each in maps.values()]))
            scores.check_shape("patchcore", patches, (self._banks.channels,))
            count, rows, columns, channels = patches.shape
            patches = patches.reshape(1, count * rows * columns, channels)
            distances, winners = (found.reshape(count, rows * columns) for found in self._banks.nearest(patches))
            patch = distances.reshape(count, rows, columns)
            if self._score != "max":
                return TorchScores(patch, scores.picture_scores(patch, self._score))
            farthest = distances.argmax(dim=1, keepdim=True)
            places = farthest + torch.arange(count, device=patches.device)[:, None] * (rows * columns)
            image = self._scores(
                patches[0][places[:, 0]].float(), distances.gather(1, farthest), winners.gather(1, farthest)[:, 0]
            )
            return TorchScores(patch, image)

    def render(self, patch: Tensor, size: Size) -> Tensor:
        """Anomaly maps of a size."""
        with torch.inference_mode():
            return scores.render(patch, size, self._sigma)

    def _scores(self, patches: Tensor, distances: Tensor, winners: Tensor) -> Tensor:
        """Eq. 7 of each picture's farthest patch: `(B, C)`, its distance `(B, 1)`, and the winner's row `(B,)`."""
        if self._neighbours == 0:
            return distances[:, 0]
        bank = self._banks.bank
        around, _ = self._banks.around(bank[winners], torch.zeros_like(winners), self._neighbours)
        others = torch.linalg.vector_norm(bank[around] - patches[:, None], dim=2).double()
        own = distances.double()
        shift = torch.maximum(own, others.max(dim=1, keepdim=True).values)
        share = torch.exp(own - shift) / torch.exp(others - shift).sum(dim=1, keepdim=True)
        return ((1 - share).clamp(min=0) * own)[:, 0].float()


def default_grid(grids: list[Size]) -> Size:
    """The finest of the taps' grids with no more than twice the rows and columns of the coarsest, as in numpy."""
    rows, columns = min(grids)
    return max(grid for grid in grids if grid[0] <= 2 * rows and grid[1] <= 2 * columns)
