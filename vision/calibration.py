"""From scores of normal pictures to a threshold, with what their number allows to be said about it."""

from math import exp, lgamma, log, log1p
from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

MAXIMUM_BOUND = 0.3
"""A threshold is given only where the false-reject rate can be bounded at this or less: at 95 %, from 9 pictures."""

_EULER_GAMMA = 0.5772156649015329
_BISECTIONS = 60


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """A threshold and how sure it is.

    Attributes:
        threshold: A picture scoring above it is anomalous; None where the pictures are too few to say.
        target_false_reject_rate: Share of normal pictures that may be called anomalous, as asked for.
        bound: Upper confidence bound of that share at the threshold; at the largest score where there is no threshold.
        images: How many normal scores it rests on.
        confidence: Of the bound.
    """

    threshold: float | None
    target_false_reject_rate: Annotated[float, msgspec.Meta(gt=0, lt=1)]
    bound: Annotated[float, msgspec.Meta(ge=0, le=1)]
    images: Annotated[int, msgspec.Meta(ge=0)]
    confidence: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.95


def calibrate(
    normal_scores: ArrayLike, *, target_false_reject_rate: float = 0.01, confidence: float = 0.95
) -> Calibration:
    """The threshold for a target false-reject rate, from scores of normal pictures the detector has not learnt from.

    - Where the pictures are many enough for it (299 for 1 % at 95 %), the threshold is the lowest score for which the
      upper confidence bound of the false-reject rate is no more than the target. It assumes nothing about the scores.
    - Where they are fewer, it is the largest score, or the target's quantile of a Gumbel distribution fitted to the
      scores (by L-moments), whichever is higher: a picture's score is the maximum over its patches, whose distribution
      tends to that form. The bound is the one for a threshold that no score exceeds: 0 of 209 bounds it at 1.4 %.
    - Where even that bound is over `MAXIMUM_BOUND`, there is no threshold.

    How many scores may lie above the threshold is fixed by their number alone, so the bound is not spoilt by a choice
    made after looking. It holds for pictures that come as these did.

    Args:
        normal_scores: Held-out scores of normal pictures, all finite.
        target_false_reject_rate: Share of normal pictures that may be called anomalous, between 0 and 1.
        confidence: Of the bound, between 0 and 1.
    """
    scores = np.sort(np.asarray(normal_scores, dtype=np.float64).ravel())
    if not np.isfinite(scores).all():
        raise ValueError("normal scores must be finite")
    images = len(scores)
    above = allowed_above(images, target_false_reject_rate, confidence)
    bound = false_reject_bound(max(above, 0), images, confidence)
    threshold: float | None = None
    if above >= 0:
        threshold = float(scores[images - 1 - above])
    elif bound <= MAXIMUM_BOUND:
        threshold = max(float(scores[-1]), _gumbel_quantile(scores, 1 - target_false_reject_rate))
    return Calibration(
        threshold=threshold,
        target_false_reject_rate=target_false_reject_rate,
        bound=bound,
        images=images,
        confidence=confidence,
    )


def false_reject_bound(rejected: int, images: int, confidence: float = 0.95) -> float:
    """One-sided upper confidence bound of a rate of which `rejected` of `images` were seen (Clopper and Pearson, 1934).

    It is the rate at which so few or fewer would be seen with probability `1 - confidence`; without any rejected it is
    `1 - (1 - confidence) ** (1 / images)`, which the rule of three (3 / images) approximates at 95 %.
    """
    if rejected >= images:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if _binomial_cdf(rejected, images, middle) > 1 - confidence else (low, middle)
    return high


def allowed_above(images: int, target: float, confidence: float = 0.95) -> int:
    """How many of so many normal scores may lie above a threshold whose bound keeps the target; -1 if not even none."""
    above = -1
    while above + 1 < images and false_reject_bound(above + 1, images, confidence) <= target:
        above += 1
    return above


def _binomial_cdf(successes: int, trials: int, rate: float) -> float:
    if rate in {0.0, 1.0}:
        return 1.0 - rate
    return sum(
        exp(lgamma(trials + 1) - lgamma(k + 1) - lgamma(trials - k + 1) + k * log(rate) + (trials - k) * log1p(-rate))
        for k in range(successes + 1)
    )


def _gumbel_quantile(sorted_scores: NDArray[np.float64], probability: float) -> float:
    """The quantile of the Gumbel distribution that has the scores' first two L-moments (Hosking, 1990)."""
    count = len(sorted_scores)
    mean = float(sorted_scores.mean())
    ranked = float((np.arange(count) * sorted_scores).sum()) / (count * (count - 1))
    scale = (2 * ranked - mean) / log(2)
    return mean - _EULER_GAMMA * scale - scale * log(-log(probability))
