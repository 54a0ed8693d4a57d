"""Undoing the shrinkage of regression: what the student cannot foresee it predicts too small, channel by channel.

A least-squares prediction that explains the share r of a channel's variance has r times that variance. Left so,
distances are ruled by the channels that are easy to foresee. Multiplying each channel back to its teacher's spread
restores the weights that the teacher gives them, at the price of louder noise; LOG.md has what it brought.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray

from distillation.student import Student
from distillation.targets import Projection
from distillation.teacher import TAPS, OnnxTeacher
from patchline.vision.pixels.preprocessing import normalise

Moments = NDArray[np.float64]


def restoring_gains(
    student: Student,
    teacher: OnnxTeacher,
    projections: dict[str, Projection],
    batches: Iterable[NDArray[np.uint8]],
) -> dict[str, NDArray[np.float32]]:
    """Tap -> (channels,): the target's standard deviation over the student's, on crops (B, side, side, 3)."""
    sums: dict[str, list[Moments]] = {tap.student: [] for tap in TAPS}
    student.eval()
    for pixels in batches:
        batch = normalise(pixels)
        maps = teacher.maps(batch)
        with torch.no_grad():
            predictions = student(torch.from_numpy(batch))
        for tap, prediction in zip(TAPS, predictions, strict=True):
            target = projections[tap.student].apply(maps[tap.teacher])
            sums[tap.student].append(np.stack([_moments(prediction.numpy()), _moments(target)]))
    gains = {}
    for name, parts in sums.items():
        mean, square = np.mean(parts, axis=0).transpose(1, 0, 2)
        deviation = np.sqrt(square - mean**2)
        gains[name] = (deviation[1] / deviation[0]).astype(np.float32)
    return gains


def _moments(maps: NDArray[np.float32]) -> Moments:
    """Mean and mean square of every channel, (2, channels)."""
    wide = maps.astype(np.float64)
    return np.stack([wide.mean(axis=(0, 2, 3)), (wide**2).mean(axis=(0, 2, 3))])
