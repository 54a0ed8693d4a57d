"""How far the student is from its targets: one number a tap, in shares of the teacher's variance."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

QUIET = 0.2
"""Added to a picture's own variance (about one on average), so that an empty picture does not outweigh all others."""


def picture_errors(prediction: Tensor, target: Tensor) -> Tensor:
    """Each picture's squared error, summed over channels and averaged over positions, (B,).

    Targets are scaled so that the whole teacher map has variance one: 0 is perfect, 1 about what a constant gets.
    """
    return (prediction - target).square().sum(dim=1).mean(dim=(1, 2))


def pooled(maps: Tensor) -> Tensor:
    """3x3 average pooling, stride 1: what PatchCore does to a map before it looks at it."""
    return functional.avg_pool2d(maps, 3, 1, 1, count_include_pad=False)


def distillation_loss(predictions: tuple[Tensor, ...], targets: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    """The loss to descend and the plain unexplained share of every tap, (taps,), to look at.

    Two choices are made here. The error after pooling is added to the plain one: it is what detectors will see, and on
    its own it would leave single positions free. And each picture's error counts relative to its own variation: a
    detector compares pictures of one station, so what is a small error in a thicket of textures is a large one on a
    smooth part.
    """
    shares, total = [], torch.zeros(())
    for prediction, target in zip(predictions, targets, strict=True):
        plain = picture_errors(prediction, target)
        spread = picture_errors(target, target.mean(dim=(2, 3), keepdim=True))
        total = total + ((plain + picture_errors(pooled(prediction), pooled(target))) / (spread + QUIET)).mean()
        shares.append(plain.mean())
    return total, torch.stack(shares).detach()
