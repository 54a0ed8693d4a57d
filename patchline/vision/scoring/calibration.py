"""From scores of normal pictures to a threshold, with what their number allows to be said about it."""

from math import ceil, exp, floor, lgamma, log, log1p
from typing import Annotated, NamedTuple

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

MAXIMUM_BOUND = 0.3
"""A threshold is given only where the number of pictures can bound the rate at this: from 9 pictures, at 95 %."""

OUTLIER_PROBABILITY = 0.05
"""Of few scores, one that would be their largest with less than this probability does not raise the threshold."""

_UNFITTED_SHARE = 0.05
_FEWEST_FITTED = 3
"""Scores that a line can be fitted to, the largest left out."""
_BISECTIONS = 60
_ROUNDING = 1e-9


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


class Fewest(NamedTuple):
    """How many normal pictures it takes.

    Attributes:
        threshold: For any threshold; with fewer, verdicts are `uncalibrated`.
        target: For one that holds the target rate whatever the scores' distribution.
    """

    threshold: int
    target: int


def calibrate(
    normal_scores: ArrayLike, *, target_false_reject_rate: float = 0.01, confidence: float = 0.95
) -> Calibration:
    """The threshold for a target false-reject rate, from scores of normal pictures the detector has not learnt from.

    - Where there are pictures enough (99 for 1 %), it is the highest score but `allowed_above(images, target)`. The
      next normal picture then exceeds it with at most the target's probability, whatever the scores' distribution
      (split conformal prediction; Vovk et al., 2005).
    - Where they are fewer, it is the target's quantile of a Gumbel distribution, the form to which maxima tend and a
      picture's score is the maximum over its patches. The line is fitted to the scores' order, the top 5 % left out,
      and the threshold is raised to the largest score unless that is an outlier, by `OUTLIER_PROBABILITY`: one bad
      picture among thirty would otherwise hide most defects.
    - Where even a threshold that no score exceeds could be bounded no better than at `MAXIMUM_BOUND`, there is none.

    Beside it stands the bound that the number of pictures allows: 0 of 209 above the threshold bound the rate at
    1.4 %, 1 of 209 at 2.2 %, 0 of 30 at 9.5 %. All of it holds for pictures that come as these did.

    Args:
        normal_scores: Held-out scores of normal pictures, all finite.
        target_false_reject_rate: Share of normal pictures that may be called anomalous, between 0 and 1.
        confidence: Of the bound, between 0 and 1.
    """
    scores = np.sort(np.asarray(normal_scores, dtype=np.float64).ravel())
    if not np.isfinite(scores).all():
        raise ValueError("normal scores must be finite")
    images = len(scores)
    above = allowed_above(images, target_false_reject_rate)
    threshold: float | None = None
    if above >= 0:
        threshold = float(scores[images - 1 - above])
    else:
        above = 0
        if images >= _FEWEST_FITTED and false_reject_bound(0, images, confidence) <= MAXIMUM_BOUND:
            threshold = _gumbel_threshold(scores, target_false_reject_rate)
            above = int((scores > threshold).sum())
    return Calibration(
        threshold=threshold,
        target_false_reject_rate=target_false_reject_rate,
        bound=false_reject_bound(above, images, confidence),
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


def fewest_pictures(target_false_reject_rate: float, confidence: float = 0.95) -> Fewest:
    """How many normal pictures `calibrate` asks for: 9 and 99 at a target of 1 %, 9 and 19 at 5 %."""
    target = ceil(1 / target_false_reject_rate - _ROUNDING) - 1
    while allowed_above(target, target_false_reject_rate) < 0:
        target += 1
    any_threshold = _FEWEST_FITTED
    while false_reject_bound(0, any_threshold, confidence) > MAXIMUM_BOUND:
        any_threshold += 1
    return Fewest(min(any_threshold, target), target)


def allowed_above(images: int, target: float) -> int:
    """How many of so many normal scores may lie above a conformal threshold; -1 where they are too few to have one."""
    return floor((images + 1) * target + _ROUNDING) - 1


def _binomial_cdf(successes: int, trials: int, rate: float) -> float:
    if rate in {0.0, 1.0}:
        return 1.0 - rate
    return sum(
        exp(lgamma(trials + 1) - lgamma(k + 1) - lgamma(trials - k + 1) + k * log(rate) + (trials - k) * log1p(-rate))
        for k in range(successes + 1)
    )


def _gumbel_threshold(sorted_scores: NDArray[np.float64], target: float) -> float:
    """The target's quantile of a Gumbel distribution, or the largest score that is no outlier of it if that is higher.

    The distribution is the line through the scores over their expected order on Gumbel paper (Gringorten, 1963).
    """
    count = len(sorted_scores)
    reduced = _gumbel_reduced((np.arange(1, count + 1) - 0.44) / (count + 0.12))
    fitted = count - max(1, ceil(_UNFITTED_SHARE * count))
    abscissae = reduced[:fitted] - reduced[:fitted].mean()
    mean = float(sorted_scores[:fitted].mean())
    slope = float((abscissae * (sorted_scores[:fitted] - mean)).sum() / (abscissae**2).sum())
    origin = mean - slope * float(reduced[:fitted].mean())
    highest = origin + slope * float(_gumbel_reduced((1 - OUTLIER_PROBABILITY) ** (1 / count)))
    usual = sorted_scores[sorted_scores <= highest + _ROUNDING * abs(highest)]
    return max(float(usual[-1]), origin + slope * float(_gumbel_reduced(1 - target)))


def _gumbel_reduced(probability: ArrayLike) -> NDArray[np.float64]:
    reduced: NDArray[np.float64] = -np.log(-np.log(np.asarray(probability, dtype=np.float64)))
    return reduced
