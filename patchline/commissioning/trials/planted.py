"""Normal pictures with and without planted defects, scored by detectors that were fitted on neither.

Each half of the pictures is scored, as it is and with defects, by a detector that was fitted on the other half.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from patchline.commissioning.held_out import batches, folds_of
from patchline.pictures.products.plant import DEFECTS, plant_into
from patchline.vision.detectors.protocol import Detector, PatchScores
from patchline.vision.detectors.scoring import picture_scores
from patchline.vision.pixels.arrays import FeatureMaps, Floats, Pixels
from patchline.vision.scoring.evaluation import image_auroc
from patchline.wire.errors import MisconfiguredError

FEWEST_PICTURES = 10
MOST_PICTURES = 250
"""More take longer and hardly show more. Fewer show too little: of 100 tiles no gain was certain, of 200 one was."""
PLANTED = 200
"""Defects planted, at least one in each picture."""
HALVES = 2
SCORE = "score"
_SIZES, _CONTRASTS = (0.06, 0.5), (0.2, 1.0)
_PLAINER = 1.5


@dataclass(frozen=True)
class Scores:
    """Scores of `(N,)` normal pictures and of `(M,)` pictures with a planted defect."""

    normal: NDArray[np.float64]
    planted: NDArray[np.float64]

    @property
    def image_auroc(self) -> float:
        """How well they tell the two apart."""
        found = image_auroc(self.truth, self.all)
        assert found is not None, "there are pictures of both kinds"
        return found

    @property
    def all(self) -> NDArray[np.float64]:
        """The normal pictures' scores, then the others'."""
        return np.concatenate([self.normal, self.planted])

    @property
    def truth(self) -> NDArray[np.bool_]:
        """Which of all have a defect."""
        return np.arange(len(self.normal) + len(self.planted)) >= len(self.normal)


@dataclass(frozen=True)
class TwoFolds:
    """Scores pictures with a detector that is fitted on the other half of them.

    Attributes:
        kind: The detector's class.
        parameters: Those that a person has set.
        seed: Of the halves and the fits.
    """

    kind: type[Detector]
    parameters: Mapping[str, Any]
    seed: int

    def scores(
        self,
        normal: FeatureMaps,
        planted: FeatureMaps,
        sources: NDArray[np.intp],
        *,
        options: Mapping[str, Any] | None = None,
        modes: Sequence[str] = (),
    ) -> dict[str, Scores]:
        """The scores in each score mode, all from one search.

        Args:
            normal: Maps of the normal pictures.
            planted: Maps of pictures with a planted defect.
            sources: `(M,)`, into which normal picture each defect was planted.
            options: Of the detector, beside the parameters.
            modes: Score modes; the first one is what the detector is fitted with. None takes the detector's own.
        """
        count = int(sources.max()) + 1
        modes = modes or score_modes(self)[:1]
        found = {mode: Scores(np.empty(count), np.empty(len(sources))) for mode in modes}
        settings = {**self.parameters, **(options or {}), SCORE: modes[0]}
        for held in folds_of(count, HALVES, seed=self.seed):
            others = np.setdiff1d(np.arange(count), held)
            detector = self.kind.fit(batches(normal, others), seed=self.seed, **settings)
            hit = np.flatnonzero(np.isin(sources, held))
            for mode, scores in _scored(detector, normal, held, modes).items():
                found[mode].normal[held] = scores
            for mode, scores in _scored(detector, planted, hit, modes).items():
                found[mode].planted[hit] = scores
        return found


def score_modes(folds: TwoFolds) -> tuple[str, ...]:
    """Score modes to try, the default first; the one that a person has set, alone."""
    return (str(folds.parameters[SCORE]),) if SCORE in folds.parameters else folds.kind.score_modes


def sources_of(pictures: int) -> NDArray[np.intp]:
    """Which picture each defect is planted into: one each, and more where there are few pictures."""
    return np.arange(max(PLANTED, pictures)) % pictures


def plant(picture: Pixels, rng: np.random.Generator, *, faintness: float = 1.0) -> Pixels:
    """The picture with a defect of any kind, from faint and small to plain and half as large as the picture.

    Args:
        picture: A normal one; it is not changed.
        rng: Chooses the kind, the size, the contrast and the place.
        faintness: The contrast is multiplied by it; a defect that cannot be seen is made plainer again.
    """
    kind = str(rng.choice(list(DEFECTS)))
    size, contrast = (float(np.exp(rng.uniform(*np.log(span)))) for span in (_SIZES, _CONTRASTS))
    contrast *= faintness
    while True:
        try:
            return plant_into(picture, kind, size=size, contrast=contrast, rng=rng)[0]
        except MisconfiguredError:  # it cannot be seen
            if size == contrast == 1:
                return picture
            size, contrast = min(1.0, size * _PLAINER), min(1.0, contrast * _PLAINER)


def _scored(detector: Detector, maps: FeatureMaps, places: NDArray[np.intp], modes: Sequence[str]) -> dict[str, Floats]:
    found = [detector.search(detector.embed(batch)) for batch in batches(maps, places)]
    return {mode: np.concatenate([_in_mode(each, mode, modes[0]) for each in found]) for mode in modes}


def _in_mode(found: PatchScores, mode: str, fitted: str) -> Floats:
    if mode == fitted:
        return found.image
    assert mode in {"peak", "top", "contrast"}, f"only the detector itself can score by {mode}"
    return picture_scores(found.patch, mode)  # type: ignore[arg-type]
