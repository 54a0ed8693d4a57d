"""Normal pictures and pictures with drawn defects, judged by detectors that learnt from the other half."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from patchline.commissioning.held_out import batches, folds_of
from patchline.vision.detectors.protocol import Detector, PatchScores
from patchline.vision.detectors.scoring import picture_scores
from patchline.vision.pixels.arrays import FeatureMaps, Floats

HALVES = 2

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class TwoFoldScores:
    """Maps of pictures, and what a detector shall be asked about them.

    Attributes:
        normal: `(N, C, h, w)` a tap, of normal pictures.
        planted: `(M, C, h, w)` a tap, of some of them with a drawn defect.
        sources: `(M,)`, of which.
        seed: Of the halves and the fits.
    """

    normal: FeatureMaps
    planted: FeatureMaps
    sources: NDArray[np.intp]
    seed: int

    def scores(
        self,
        kind: type[Detector],
        settings: Mapping[str, Any],
        words: tuple[str, ...],
        on_half: Callable[[int], None],
    ) -> dict[str, tuple[Scores, Scores]]:
        """Scores of the normal and of the planted pictures, for each way of scoring.

        Args:
            kind: The detector's class.
            settings: What to fit it with; its own `score` must be the first of `words`.
            words: The ways of scoring, all from one search.
            on_half: Told how many halves are done, before each.
        """
        count = len(next(iter(self.normal.values())))
        found = {word: (np.empty(count), np.empty(len(self.sources))) for word in words}
        for half, held in enumerate(folds_of(count, HALVES, seed=self.seed)):
            on_half(half)
            others = np.setdiff1d(np.arange(count), held)
            detector = kind.fit(batches(self.normal, others), seed=self.seed, **settings)
            hit = np.flatnonzero(np.isin(self.sources, held))
            for several, places, at in ((self.normal, held, 0), (self.planted, hit, 1)):
                for word, scores in _scores(detector, several, places, words).items():
                    found[word][at][places] = scores
        return found


def _scores(
    detector: Detector, maps: FeatureMaps, places: NDArray[np.intp], words: tuple[str, ...]
) -> dict[str, Floats]:
    """Scores of some pictures in every way, from one search."""
    found = [detector.search(detector.embed(batch)) for batch in batches(maps, places)]
    return {word: np.concatenate([_scored(each, word, words[0]) for each in found]) for word in words}


def _scored(found: PatchScores, word: str, fitted: str) -> Floats:
    if word == fitted:
        return found.image
    assert word in {"peak", "top", "contrast"}, f"{word} is the detector's own"
    return picture_scores(found.patch, word)  # type: ignore[arg-type]
