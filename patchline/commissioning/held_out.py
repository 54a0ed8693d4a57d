"""Scores of normal pictures by detectors that never saw them: what an honest threshold rests on."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from patchline.vision.detectors.protocol import Detector
from patchline.vision.pixels.arrays import FeatureMaps, Size

BATCH_PICTURES = 8
DARKEST_SHARE = 0.01
"""Share of the normal patches' distances that an anomaly map draws as black."""
HEADROOM = 2.0
"""White in an anomaly map is this many times as far above black as the farthest normal patch."""


@dataclass(frozen=True)
class HeldOut:
    """What normal pictures look like to a detector that does not know them.

    Attributes:
        scores: `(N,)` float64, one a picture, in the pictures' order; none where there is but one picture.
        map_range: Distances that an anomaly map draws as black and as white.
    """

    scores: NDArray[np.float64]
    map_range: tuple[float, float]


def folds_of(pictures: int, folds: int, *, seed: int) -> list[NDArray[np.intp]]:
    """Split pictures at random into folds of equal size, give or take one.

    Where there are fewer than two pictures a fold, every picture is a fold of its own (leave one out).
    """
    count = folds if pictures >= 2 * folds else pictures
    order = np.random.default_rng(seed).permutation(pictures)
    return [np.sort(order[start::count]) for start in range(count)]


def batches(maps: FeatureMaps, indices: Sequence[int] | NDArray[np.intp]) -> Iterator[FeatureMaps]:
    """The feature maps of some pictures, a few at a time."""
    for start in range(0, len(indices), BATCH_PICTURES):
        chosen = indices[start : start + BATCH_PICTURES]
        yield {tap: values[chosen] for tap, values in maps.items()}


def score_held_out(
    kind: type[Detector],
    maps: FeatureMaps,
    *,
    size: Size,
    folds: int,
    seed: int,
    parameters: Mapping[str, Any],
    on_progress: Callable[[int, int], None],
) -> HeldOut:
    """Fit a detector without each fold in turn, and score that fold with it.

    Args:
        kind: The detector's class.
        maps: Feature maps of all normal pictures, `(N, C, h, w)` a tap. Of one picture alone only the range of its map
            can be told, from its own mirror image.
        size: Of the anomaly maps.
        folds: How many parts the pictures are split into; with 0 no picture is scored, as if there were but one.
        seed: Of the split and the fits.
        parameters: The detector's, the same as for the artifact.
        on_progress: Called with folds done and folds in all.
    """
    pictures = len(next(iter(maps.values())))
    if pictures == 1 or not folds:
        detector = kind.fit(batches(maps, [0]), seed=seed, **parameters)
        mirrored = {tap: values[:1, ..., ::-1].copy() for tap, values in maps.items()}
        rendering = detector.render(detector.search(detector.embed(mirrored)), size)
        on_progress(1, 1)
        low, high = float(np.quantile(rendering.maps, DARKEST_SHARE)), float(rendering.maps.max())
        return HeldOut(np.empty(0), _map_range(low, high))
    scores = np.empty(pictures)
    lows, highs = [], []
    split = folds_of(pictures, folds, seed=seed)
    for done, held in enumerate(split):
        on_progress(done, len(split))
        others = np.setdiff1d(np.arange(pictures), held)
        detector = kind.fit(batches(maps, others), seed=seed, **parameters)
        rendered = [detector.render(detector.search(detector.embed(batch)), size) for batch in batches(maps, held)]
        scores[held] = np.concatenate([rendering.scores for rendering in rendered])
        lows.append(min(float(np.quantile(rendering.maps, DARKEST_SHARE)) for rendering in rendered))
        highs.append(max(float(rendering.maps.max()) for rendering in rendered))
    on_progress(len(split), len(split))
    return HeldOut(scores, _map_range(min(lows), max(highs)))


def _map_range(low: float, highest: float) -> tuple[float, float]:
    """Identical pictures have no distance between them; any scale then shows what differs from them."""
    return low, low + HEADROOM * (highest - low) if highest > low else low + 1.0
