"""Compares scores with those of a reference, by a paired bootstrap of the pictures.

Planted defects flatter what changes the features, while score modes gained or lost with mostly the same sign on planted
and on real defects. So other options need a larger gain than other score modes, and so does another input size.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from patchline.artifacts.choices import Choice, Tried
from patchline.commissioning.trials.planted import FEWEST_PICTURES, SCORE, Scores
from patchline.vision.scoring.bootstrap import auroc_resamples, draws, interval

SCORE_MARGIN, FIT_MARGIN = 0.0, 0.04
"""What the gain in image AUROC must exceed with its whole interval, for another score mode, and for another fit."""
INPUT_MARGIN, PIXEL_MARGIN = 0.03, 0.005
"""The same for another input size, and what each further multiple of the pixels adds to it."""
AS_ASKED = "the parameters asked for"

_RESAMPLES = 1000


def compare(
    reference: Scores, other: Scores, parameters: Mapping[str, Any], sources: NDArray[np.intp], *, seed: int
) -> Tried:
    """The gain of one over the other with its interval.

    Args:
        reference: Scores to compare with.
        other: Scores of the same pictures.
        parameters: What differs.
        sources: `(M,)`, into which normal picture each defect was planted: these are resampled together.
        seed: Of the bootstrap.
    """
    drawn = draws(np.ones(len(reference.normal), bool), resamples=_RESAMPLES, seed=seed)
    drawn = np.hstack([drawn, drawn[:, sources]])
    resampled = [auroc_resamples(each.truth, each.all, drawn) for each in (other, reference)]
    return Tried(
        parameters=dict(parameters),
        image_auroc=other.image_auroc,
        gain=other.image_auroc - reference.image_auroc,
        interval=interval(resampled[0] - resampled[1]),
        margin=SCORE_MARGIN if set(parameters) <= {SCORE} else FIT_MARGIN,
    )


def input_margin(pixels: float) -> float:
    """What another input size must gain that has so many times the pixels."""
    return INPUT_MARGIN + PIXEL_MARGIN * max(0.0, pixels - 1)


def best_of(tried: Sequence[Tried], reference: Scores) -> Choice:
    """The largest gain less its margin, of those that convince; what was asked for stays where there is none."""
    ordered = sorted(tried, key=lambda each: each.margin - each.gain)
    best = next((each for each in ordered if each.convinces), None)
    return choice_of(best, ordered, AS_ASKED, reference)


def choice_of(best: Tried | None, tried: Sequence[Tried], name: str, reference: Scores) -> Choice:
    """The record of a choice.

    Args:
        best: What is taken; None where nothing convinces.
        tried: Everything, in the order that is kept.
        name: Of the reference.
        reference: Its scores.
    """
    pictures, planted, auroc = len(reference.normal), len(reference.planted), reference.image_auroc
    told = best.description if best else "nothing is better for certain"
    return Choice(
        chosen=best.parameters if best else {},
        reason=f"{told}, on {planted} defects planted into {pictures} pictures, where {name} reaches {auroc:.4f}",
        reference=name,
        reference_auroc=auroc,
        pictures=pictures,
        planted=planted,
        tried=tuple(tried),
    )


def too_few(pictures: int) -> Choice:
    """The record where there are too few pictures to compare anything."""
    reason = f"{pictures} normal pictures are too few to tell options apart; it takes {FEWEST_PICTURES}"
    return Choice(chosen={}, reason=reason, pictures=pictures, planted=0)
