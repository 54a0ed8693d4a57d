"""The paired bootstrap: intervals of the difference between two ways of scoring the same pictures.

Pictures are resampled, the same ones for both sides, and an interval lies between percentiles of the differences (Efron
and Tibshirani, 1993, chapter 13).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES, THRESHOLDS = 2000, 400

Scores = NDArray[np.floating]
Flags = NDArray[np.bool_]
Resamples = NDArray[np.float64]


def bootstrap_interval(
    anomalous: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    *,
    seed: int,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
) -> tuple[float, float] | None:
    """Interval of the difference of two image AUROCs, first minus second; None where there is nothing to tell apart.

    Args:
        anomalous: `(N,)`, the truth; normal and anomalous pictures are resampled each among themselves.
        first: `(N,)` scores.
        second: `(N,)` scores of the same pictures.
        seed: Of the resampling.
        confidence: Of the interval.
        resamples: How many.
    """
    truth = np.asarray(anomalous, dtype=bool).ravel()
    if truth.all() or not truth.any():
        return None
    drawn = draws(truth, resamples=resamples, seed=seed)
    of_first, of_second = (auroc_resamples(truth, np.asarray(each).ravel(), drawn) for each in (first, second))
    return interval(of_first - of_second, confidence)


def draws(truth: Flags, *, resamples: int, seed: int | Sequence[int]) -> NDArray[np.int64]:
    """How often each picture is in each resample, (resamples, N); as many normal and anomalous ones as there are."""
    rng = np.random.default_rng(seed)
    drawn = np.zeros((resamples, truth.size), np.int64)
    for group in (truth, ~truth):
        count = int(group.sum())
        if count:
            drawn[:, group] = rng.multinomial(count, np.full(count, 1 / count), size=resamples)
    return drawn


def auroc_resamples(truth: Flags, scores: Scores, drawn: NDArray[np.int64]) -> Resamples:
    """The image AUROC of every resample, (resamples,); ties count half.

    Args:
        truth: `(N,)`, which pictures are anomalous.
        scores: `(N,)`.
        drawn: `(resamples, N)`, how often each picture is in each resample.
    """
    wins = (np.sign(scores[truth][:, None] - scores[~truth][None, :]) + 1) / 2
    positives, negatives = drawn[:, truth], drawn[:, ~truth]
    won = np.einsum("rp,rp->r", positives.astype(np.float64), negatives @ wins.T)
    return np.asarray(won / (positives.sum(axis=1) * negatives.sum(axis=1)), np.float64)


def pixel_f1_resamples(masks: Sequence[Flags], maps: Scores, drawn: NDArray[np.int64]) -> Resamples:
    """The best pixel F1 of every resample, (resamples,), over thresholds at the quantiles of all pixels.

    A histogram a picture is enough, so that a resample costs a matrix product instead of a sort of all pixels.
    """
    quantiles = 1 - np.geomspace(1e-5, 0.7, THRESHOLDS)[::-1]
    edges = np.quantile(maps.ravel()[:: max(1, maps.size // 2_000_000)], quantiles)
    above = np.stack([_above(picture.ravel(), edges) for picture in maps])
    hits = np.stack([_above(picture[mask], edges) for picture, mask in zip(maps, masks, strict=True)])
    positives = np.array([int(mask.sum()) for mask in masks])
    f1 = 2 * (drawn @ hits) / np.maximum(drawn @ above + (drawn @ positives)[:, None], 1)
    return np.asarray(f1.max(axis=1), np.float64)


def interval(differences: Resamples, confidence: float = 0.95) -> tuple[float, float]:
    """The percentiles between which the differences lie with this confidence."""
    low, high = np.quantile(differences, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _above(values: Scores, edges: NDArray[np.floating]) -> NDArray[np.int64]:
    """How many values are at or above each edge."""
    return np.asarray(values.size - np.searchsorted(np.sort(values), edges, side="left"), np.int64)
