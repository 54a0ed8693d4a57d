"""Trying a detector's options on normal pictures and on defects drawn into them, at commissioning."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from patchline.artifacts.tuning import SCORE, Outcome, Tuning, decide, fits_of, scores_of
from patchline.commissioning.trials.two_fold_scores import HALVES, TwoFoldScores
from patchline.pictures.products.plant import DEFECTS, plant_into
from patchline.vision.detectors.protocol import Detector
from patchline.vision.pixels.arrays import FeatureMaps, Pixels, Progress
from patchline.wire.errors import MisconfiguredError

FEWEST_PICTURES = 10
MOST_PICTURES = 250
"""More would take longer than they tell. Fewer tell too little: of 100 tiles no gain was certain, of 200 one was."""
PLANTED = 200
"""Defects drawn, at least one a picture."""
_SIZES, _CONTRASTS = (0.06, 0.5), (0.2, 1.0)
_PLAINER = 1.5


def tune(
    kind: type[Detector],
    pictures: Pixels,
    maps: FeatureMaps,
    send: Callable[[Pixels], FeatureMaps],
    *,
    parameters: Mapping[str, Any],
    seed: int,
    on_progress: Progress,
) -> Tuning:
    """Choose among a detector's options by what finds defects drawn into normal pictures.

    Each half of the pictures is judged, as it is and with defects, by detectors that learnt from the other half.

    Args:
        kind: The detector's class.
        pictures: `(N, H, W, 3)`, normal, at the input size, not yet encoded.
        maps: Their feature maps as the service will have them.
        send: Gives such maps of other pictures.
        parameters: Those that a person has decided on; they stay.
        seed: Of the pictures taken, the defects, the halves and the fits.
        on_progress: Called with fits done and fits in all.
    """
    if len(pictures) < FEWEST_PICTURES:
        return too_few(len(pictures))
    rng = np.random.default_rng(seed)
    taken = np.sort(rng.permutation(len(pictures))[:MOST_PICTURES])
    sources = sources_of(len(taken))
    planted = send(np.stack([draw_into(pictures[taken[source]], rng) for source in sources]))
    normal = {tap: values[taken] for tap, values in maps.items()}
    options, words = fits_of(kind.name, parameters), scores_of(kind.name, parameters)
    judged = TwoFoldScores(normal, planted, sources, seed)
    outcomes: list[Outcome] = []
    for done, option in enumerate(options):

        def on_half(half: int, before: int = done) -> None:
            on_progress(before * HALVES + half, len(options) * HALVES)

        found = judged.scores(kind, {**parameters, **option, SCORE: words[0]}, words, on_half)
        outcomes += [Outcome(_changed(option, word, words[0]), *scores) for word, scores in found.items()]
    on_progress(len(options) * HALVES, len(options) * HALVES)
    return decide(outcomes, sources, seed=seed)


def too_few(pictures: int) -> Tuning:
    """What can be said of that many pictures."""
    reason = f"{pictures} normal pictures are too few to tell options apart; it takes {FEWEST_PICTURES}"
    return Tuning(chosen={}, reason=reason, pictures=pictures, planted=0)


def sources_of(pictures: int) -> NDArray[np.intp]:
    """Which picture each defect is drawn into: one each, and more of few pictures."""
    return np.arange(max(PLANTED, pictures)) % pictures


def draw_into(picture: Pixels, rng: np.random.Generator) -> Pixels:
    """The picture with a defect of any kind, from faint and small to plain and half as large as the picture."""
    kind = str(rng.choice(list(DEFECTS)))
    size, contrast = (float(np.exp(rng.uniform(*np.log(span)))) for span in (_SIZES, _CONTRASTS))
    while True:
        try:
            return plant_into(picture, kind, size=size, contrast=contrast, rng=rng)[0]
        except MisconfiguredError:  # it cannot be seen
            if size == contrast == 1:
                return picture
            size, contrast = min(1.0, size * _PLAINER), min(1.0, contrast * _PLAINER)


def _changed(option: Mapping[str, Any], word: str, usual: str) -> dict[str, Any]:
    return {**option, **({} if word == usual else {SCORE: word})}
