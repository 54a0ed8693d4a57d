"""What the detectors of this room give, all of it on their device."""

# mypy: allow-untyped-calls

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from patchline.vision.pixels.arrays import Size
from patchline.vision.scoring.anomaly_map import rendering_matrix
from patchline.wire.errors import MisconfiguredError

SCORES = ("max", "peak", "top", "contrast")
"""The ways to score a picture that are carried."""

_TOP_SHARE = 0.01


class TorchScores(NamedTuple):
    """How far the patches of a batch are from normal.

    Attributes:
        patch: `(B, rows, columns)` float32, the distance of each patch, in raw units.
        image: `(B,)` float32, the raw score of each picture.
    """

    patch: Tensor
    image: Tensor


def picture_scores(patch: Tensor, score: str) -> Tensor:
    """The scores of pictures from `(B, rows, columns)` patch scores, as `vision.detectors.scoring` on a CPU.

    Args:
        patch: The united distance of each patch.
        score: `peak`, `top` or `contrast`.
    """
    flat = patch.flatten(1)
    if score == "top":
        return flat.topk(max(1, round(_TOP_SHARE * flat.shape[1])), dim=1).values.mean(dim=1)
    highest = flat.amax(dim=1)
    return highest - flat.mean(dim=1) if score == "contrast" else highest


def render(patch: Tensor, size: Size, sigma: float) -> Tensor:
    """Anomaly maps of a size, `(B, *size)` float32: `patchline.vision.scoring.anomaly_map.render` on the device."""
    down = _matrix(int(patch.shape[1]), size[0], sigma, patch.device)
    across = _matrix(int(patch.shape[2]), size[1], sigma, patch.device)
    return down @ patch @ across.T


def refuse_unknown(detector: str, parameters: Mapping[str, Any], carried: Mapping[str, tuple[Any, ...] | None]) -> None:
    """Refuse what this room would silently leave out.

    Args:
        detector: Its name.
        parameters: Of the artifact.
        carried: Parameters that are carried, with the values that are; None carries all.

    Raises:
        MisconfiguredError: A parameter, or its value, is not carried.
    """
    for name, value in parameters.items():
        values = carried.get(name, ())
        if values is not None and value not in values:
            raise MisconfiguredError(
                f"the torch path does not carry {name} = {value!r}",
                where=f"detector {detector}, parameter {name}",
                remedy="use the device cpu, or another value",
            )


def check_shape(detector: str, patches: Tensor, expected: tuple[int, ...]) -> None:
    """Make sure that patches are of the kind that was learnt.

    Args:
        detector: Its name.
        patches: `(B, rows, columns, C)`.
        expected: The end of their shape: the channels, or rows, columns and channels.

    Raises:
        MisconfiguredError: They are of another backbone, other taps or another size.
    """
    if tuple(patches.shape[-len(expected) :]) != expected:
        raise MisconfiguredError(
            f"patches are {'x'.join(map(str, patches.shape[1:]))} and {'x'.join(map(str, expected))} was learnt",
            where=f"detector {detector}",
            remedy="use the backbone, taps and input size that the artifact was commissioned with",
        )


def on_device(array: NDArray[Any], device: torch.device) -> Tensor:
    """An array as float32 on a device."""
    return torch.from_numpy(np.array(array, dtype=np.float32)).to(device)


@cache  # never forgotten: a recorded CUDA graph goes on reading it
def _matrix(patches: int, pixels: int, sigma: float, device: torch.device) -> Tensor:
    return on_device(rendering_matrix(patches, pixels, sigma), device)
