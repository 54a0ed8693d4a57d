"""Which options and score mode of a detector suit a line."""

from collections.abc import Callable
from typing import Any

import numpy as np

from patchline.artifacts.choices import Choice, Tried
from patchline.commissioning.trials.comparison import best_of, compare, too_few
from patchline.commissioning.trials.planted import (
    FEWEST_PICTURES,
    MOST_PICTURES,
    SCORE,
    Scores,
    TwoFolds,
    plant,
    score_modes,
    sources_of,
)
from patchline.vision.pixels.arrays import FeatureMaps, Pixels, Progress


def choose_options(
    folds: TwoFolds,
    pictures: Pixels,
    maps: FeatureMaps,
    send: Callable[[Pixels], FeatureMaps],
    *,
    on_progress: Progress,
) -> Choice:
    """Choose among a detector's options; those that a person has set stay.

    Args:
        folds: What scores.
        pictures: `(N, H, W, 3)`, normal, at the input size, not yet encoded.
        maps: Their feature maps as the service will have them.
        send: Gives such maps of other pictures.
        on_progress: Called with options done and options in all.
    """
    if len(pictures) < FEWEST_PICTURES:
        return too_few(len(pictures))
    rng = np.random.default_rng(folds.seed)
    taken = np.sort(rng.permutation(len(pictures))[:MOST_PICTURES])
    sources = sources_of(len(taken))
    planted = send(np.stack([plant(pictures[taken[source]], rng) for source in sources]))
    normal = {tap: values[taken] for tap, values in maps.items()}
    modes = score_modes(folds)
    options = options_to_try(folds)
    reference: Scores | None = None
    tried: list[Tried] = []
    for done, option in enumerate(options):
        on_progress(done, len(options))
        found = folds.scores(normal, planted, sources, options=option, modes=modes)
        for mode, scores in found.items():
            reference = reference or scores
            if scores is not reference:
                changed = option if mode == modes[0] else {**option, SCORE: mode}
                tried.append(compare(reference, scores, changed, sources, seed=folds.seed))
    on_progress(len(options), len(options))
    assert reference is not None, "the options asked for come first"
    return best_of(tried, reference)


def options_to_try(folds: TwoFolds) -> list[dict[str, Any]]:
    """Options to fit with, none first; those that a person has set are not tried."""
    return [{}, *(each for each in folds.kind.tuning_options if not each.keys() & folds.parameters.keys())]
