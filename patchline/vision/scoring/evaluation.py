"""How well scores and maps tell anomalous from normal. Numpy only; checked against scikit-learn and plain references.

Where there is nothing to tell apart (no anomalous picture, or no normal one) a measure is None, never a number.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from patchline.vision.pixels.arrays import Floats
from patchline.vision.scoring.regions import label_regions

Flags = NDArray[np.bool_]
MAXIMUM_FALSE_POSITIVE_RATE = 0.3
"""Up to where AUPRO integrates, as MVTec's own evaluation does."""


def image_auroc(anomalous: ArrayLike, scores: ArrayLike) -> float | None:
    """Area under the ROC curve of the pictures' scores; ties count half.

    Args:
        anomalous: `(N,)`, the truth.
        scores: `(N,)`, higher is more anomalous.
    """
    return _auroc(np.asarray(anomalous, dtype=bool).ravel(), np.asarray(scores).ravel())


def pixel_auroc(masks: Sequence[Flags] | Flags, maps: Sequence[Floats] | Floats) -> float | None:
    """Area under the ROC curve over all pixels of all pictures.

    Args:
        masks: N of `(H, W)`, true where a pixel is anomalous.
        maps: N of `(H, W)`, the anomaly maps.
    """
    return _auroc(_flat_masks(masks), _flat(maps))


def pixel_f1(masks: Sequence[Flags] | Flags, maps: Sequence[Floats] | Floats) -> float | None:
    """The best F1 over all thresholds, the same threshold for all pixels of all pictures.

    Args:
        masks: N of `(H, W)`, true where a pixel is anomalous.
        maps: N of `(H, W)`, the anomaly maps.
    """
    truth, scores = _flat_masks(masks), _flat(maps)
    positives = int(truth.sum())
    if positives == 0:
        return None
    order = np.argsort(scores)[::-1]
    last = _last_of_ties(scores[order])
    hits = np.cumsum(truth[order])[last]
    return float((2 * hits / (last + 1 + positives)).max())


def aupro(
    masks: Sequence[Flags] | Flags,
    maps: Sequence[Floats] | Floats,
    *,
    maximum_false_positive_rate: float = MAXIMUM_FALSE_POSITIVE_RATE,
) -> float | None:
    """Area under the per-region overlap curve, as a share of the best possible (Bergmann et al., IJCV 2021).

    Each connected region (8 neighbours) of a mask counts alike, however large. Every threshold is used, so the curve is
    exact, and it is interpolated where it passes the largest false-positive rate.

    Args:
        masks: N of `(H, W)`, true where a pixel is anomalous.
        maps: N of `(H, W)`, the anomaly maps.
        maximum_false_positive_rate: Where the integration ends.
    """
    shares, regions = _region_shares(masks)
    normal = ~_flat_masks(masks)
    if regions == 0 or not normal.any():
        return None
    scores = _flat(maps)
    order = np.argsort(scores)[::-1]
    last = _last_of_ties(scores[order])
    false_positive_rate = np.concatenate([[0.0], np.cumsum(normal[order])[last] / normal.sum()])
    overlap = np.concatenate([[0.0], np.cumsum(shares[order])[last] / regions])
    limit = maximum_false_positive_rate
    inside = false_positive_rate < limit
    rates = np.append(false_positive_rate[inside], limit)
    overlaps = np.append(overlap[inside], np.interp(limit, false_positive_rate, overlap))
    return float(np.trapezoid(overlaps, rates) / limit)


def _auroc(truth: Flags, scores: NDArray[np.floating]) -> float | None:
    positives, negatives = int(truth.sum()), int((~truth).sum())
    if positives == 0 or negatives == 0:
        return None
    order = np.argsort(scores)
    last = _last_of_ties(scores[order])
    positives_to = np.concatenate([[0], np.cumsum(truth[order], dtype=np.int64)[last]])
    negatives_to = np.concatenate([[0], last + 1 - positives_to[1:]])
    below = negatives_to[:-1] + np.diff(negatives_to) / 2
    return float((np.diff(positives_to) * below).sum() / (positives * negatives))


def _last_of_ties(ordered: NDArray[np.floating]) -> NDArray[np.intp]:
    return np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)


def _region_shares(masks: Sequence[Flags] | Flags) -> tuple[NDArray[np.float64], int]:
    """For each pixel, one over the size of the region it is in, or 0; and how many regions there are."""
    parts: list[NDArray[np.float64]] = []
    regions = 0
    for mask in masks:
        labels, count = label_regions(np.asarray(mask, dtype=bool))
        sizes = np.bincount(labels.ravel(), minlength=count + 1).astype(np.float64)
        weights = np.zeros(count + 1)
        weights[1:] = 1 / sizes[1:]
        parts.append(weights[labels].ravel())
        regions += count
    return np.concatenate([*parts, np.empty(0)]), regions


def _flat(maps: Sequence[Floats] | Floats) -> Floats:
    return np.concatenate(
        [np.asarray(picture, dtype=np.float32).ravel() for picture in maps] or [np.empty(0, np.float32)]
    )


def _flat_masks(masks: Sequence[Flags] | Flags) -> Flags:
    return np.concatenate([np.asarray(mask, dtype=bool).ravel() for mask in masks] or [np.empty(0, bool)])
