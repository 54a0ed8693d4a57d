"""Whether scores still look as they did at commissioning: the Kolmogorov-Smirnov distance, and what chance explains."""

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
    """The largest difference between two distribution functions, 0 to 1.

    The scores' own is a staircase, the reference's is straight between its quantiles.

    Args:
        scores: At least one.
        quantiles: As `quantiles_of` gives them.
    """
    values: NDArray[np.float64] = np.sort(np.asarray(scores, dtype=np.float64))
    steps = np.arange(len(values) + 1) / len(values)
    before, upto = _reference(values, np.asarray(quantiles))
    return float(max(np.max(steps[1:] - upto), np.max(before - steps[:-1]), 0.0))


def _reference(
    values: NDArray[np.float64], quantiles: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The reference's share below each value, and up to it; they differ where several quantiles are one value."""
    shares = np.linspace(0, 1, len(quantiles))
    between = np.interp(values, quantiles, shares, left=0.0, right=1.0)
    first = np.searchsorted(quantiles, values)
    last = np.searchsorted(quantiles, values, side="right") - 1
    on_one = last >= first
    return (
        np.where(on_one, shares[first.clip(max=len(shares) - 1)], between),
        np.where(on_one, shares[last.clip(min=0)], between),
    )


def critical(scores: int, reference: int) -> float:
    """The distance that samples of these sizes from one distribution exceed once in a thousand times.

    Two-sample test of Smirnov, large-sample form: sqrt(-ln(alpha / 2) / 2 * (n + m) / (n m)).
    """
    factor = np.sqrt(-np.log(_SIGNIFICANCE / 2) / 2)
    return float(min(1.0, factor * np.sqrt((scores + reference) / (scores * reference))))
