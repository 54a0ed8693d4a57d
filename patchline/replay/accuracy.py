"""How right the verdicts were, measured against the truth ledger.

Scores and maps are taken as multiples of the threshold of the station that gave them, so that stations with different
products can be ranked together; within one station, or with one bank for all, this changes no figure.
"""

from collections.abc import Callable, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from patchline.replay import part_pictures as evidence
from patchline.replay.reconciliation import Fate
from patchline.replay.report.overlays import dilated
from patchline.vision.scoring import evaluation
from patchline.wire.messages import Verdict

_PEAK_SIZE = (224, 224)
"""The peak is a share of the picture's sides, so any size does that shows a defect."""

MapOf = Callable[[Fate], NDArray[np.float32] | None]
"""The published anomaly map of a part, (H, W) in raw units; None where none was seen."""


class Accuracy(msgspec.Struct, frozen=True, kw_only=True):
    """The four figures of the papers; None where the parts or the masks do not allow one.

    Attributes:
        maps: Parts whose map and mask entered the pixel figures.
        maps_missing: Scored parts whose map was not seen.
    """

    image_auroc: float | None = None
    pixel_auroc: float | None = None
    pixel_f1: float | None = None
    aupro: float | None = None
    maps: int = 0
    maps_missing: int = 0


class PeakTally(msgspec.Struct, frozen=True, kw_only=True):
    """Of the rejected defective parts with a mask, how many have their map's peak in it or close by."""

    inside: int
    of: int


def relative_score(verdict: Verdict) -> float | None:
    """A verdict's score in multiples of its threshold; in raw units where it has none."""
    if verdict.score is None:
        return None
    return verdict.score / verdict.threshold if verdict.threshold else verdict.score


def measure(fates: Sequence[Fate], map_of: MapOf) -> Accuracy:
    """Measure the verdicts and the published maps of a run."""
    scored = [(fate.entry.defective, relative_score(fate.verdict)) for fate in fates if fate.verdict is not None]
    known = [(defective, score) for defective, score in scored if score is not None]
    labels = np.array([defective for defective, _ in known], dtype=np.bool_)
    scores = np.array([score for _, score in known], dtype=np.float32)
    image_auroc = evaluation.image_auroc(labels, scores)
    masks, maps = _pixels(fates, map_of)
    if not any(mask.any() for mask in masks):
        return Accuracy(image_auroc=image_auroc)
    return Accuracy(
        image_auroc=image_auroc,
        pixel_auroc=evaluation.pixel_auroc(masks, maps),
        pixel_f1=evaluation.pixel_f1(masks, maps),
        aupro=evaluation.aupro(masks, maps),
        maps=len(masks),
        maps_missing=sum(map_of(fate) is None for fate in fates if _scored(fate)),
    )


def _scored(fate: Fate) -> bool:
    return fate.verdict is not None and fate.verdict.score is not None


def _pixels(fates: Sequence[Fate], map_of: MapOf) -> tuple[list[NDArray[np.bool_]], list[NDArray[np.float32]]]:
    masks: list[NDArray[np.bool_]] = []
    maps: list[NDArray[np.float32]] = []
    if not any(fate.entry.mask for fate in fates):
        return masks, maps
    for fate in fates:
        drawn = None if fate.verdict is None else map_of(fate)
        if drawn is None or fate.verdict is None:
            continue
        mask = evidence.part_mask(fate.entry, (drawn.shape[0], drawn.shape[1]))
        if mask is not None:
            masks.append(mask)
            maps.append(drawn / np.float32(fate.verdict.threshold or 1.0))
    return masks, maps


def peaks(fates: Sequence[Fate]) -> PeakTally | None:
    """Whether the maps point at the defects; None where no rejected part has a mask."""
    inside = of = 0
    for fate in fates:
        verdict = fate.verdict
        if verdict is None or verdict.outcome != "anomalous" or verdict.peak is None or not fate.entry.defective:
            continue
        mask = evidence.part_mask(fate.entry, _PEAK_SIZE)
        if mask is None:
            continue
        of += 1
        inside += bool(dilated(mask)[_pixel_at(verdict.peak, _PEAK_SIZE)])
    return PeakTally(inside=inside, of=of) if of else None


def _pixel_at(place: tuple[float, float], size: tuple[int, int]) -> tuple[int, int]:
    """The row and column of a place that is given as shares of the width and the height."""
    x, y = place
    return min(size[0] - 1, int(y * size[0])), min(size[1] - 1, int(x * size[1]))
