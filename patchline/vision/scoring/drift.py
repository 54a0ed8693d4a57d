"""Whether scores have risen since commissioning: the one-sided Kolmogorov-Smirnov distance, and what chance explains.

One side only, because the other is no news: the reference scores come from detectors that had not seen their pictures,
and the final one, which has seen them all, scores the same parts a little lower. Measured on drawn boards, 40 pictures,
nothing changed: 0.60 lower, 0.01 higher.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

QUANTILES = 21
"""The reference keeps the scores' 0 %, 5 %, ... 100 % quantiles."""

FEWEST = 50
"""Scores below which nothing is said."""

_SIGNIFICANCE = 0.001


def quantiles_of(scores: ArrayLike) -> tuple[float, ...]:
    """The reference: quantiles of normal scores at equal steps; empty without scores."""
    values = np.asarray(scores, dtype=np.float64)
    return tuple(np.quantile(values, np.linspace(0, 1, QUANTILES)).tolist()) if values.size else ()


def distance(scores: ArrayLike, quantiles: Sequence[float]) -> float:
    """How far the scores' distribution function falls below the reference's, 0 to 1: 0 where no score is too high.

    The scores' own is a staircase, the reference's is straight between its quantiles.

    Args:
        scores: At least one.
        quantiles: As `quantiles_of` gives them.
    """
    values: NDArray[np.float64] = np.sort(np.asarray(scores, dtype=np.float64))
    steps = np.arange(len(values) + 1) / len(values)
    return float(max(np.max(_share_below(values, np.asarray(quantiles)) - steps[:-1]), 0.0))


def _share_below(values: NDArray[np.float64], quantiles: NDArray[np.float64]) -> NDArray[np.float64]:
    """The reference's share below each value; where several quantiles are that one value, below the first of them."""
    shares = np.linspace(0, 1, len(quantiles))
    first = np.searchsorted(quantiles, values)
    on_one = np.searchsorted(quantiles, values, side="right") > first
    between = np.interp(values, quantiles, shares, left=0.0, right=1.0)
    return np.where(on_one, shares[first.clip(max=len(shares) - 1)], between)


def critical(scores: int, reference: int) -> float:
    """The distance that samples of these sizes from one distribution exceed once in a thousand times.

    Two-sample test of Smirnov, one-sided, large-sample form: sqrt(-ln(alpha) / 2 * (n + m) / (n m)).
    """
    factor = np.sqrt(-np.log(_SIGNIFICANCE) / 2)
    return float(min(1.0, factor * np.sqrt((scores + reference) / (scores * reference))))
