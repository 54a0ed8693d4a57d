"""Which of a detector's options suit a line, told from normal pictures alone: defects are drawn into some of them.

An option is taken only where it finds drawn defects better for certain. Drawn defects are not the line's own, and they
flatter what changes the features, while what scores gained or lost had mostly the same sign on both kinds of defects.
So such options need far more, and so does another input size, which costs time besides.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from patchline.vision.detectors import detector_class
from patchline.vision.scoring.evaluation import image_auroc

SCORE, INPUT_SIZE = "score", "input_size"

SCORE_MARGIN, FIT_MARGIN = 0.0, 0.04
"""What the gain in image AUROC must exceed with its whole interval, for another score, and for another fit."""

INPUT_MARGIN, PIXEL_MARGIN = 0.03, 0.005
"""The same for another input size, and what every further time the pixels adds to it."""

_RESAMPLES, _CONFIDENCE = 1000, 0.95

Scores = NDArray[np.float64]


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What another input size costs, in times of the one asked for.

    Attributes:
        pixels: Of a picture.
        seconds: For codec and backbone, as measured here; a search takes about as many times as long as there are
            pixels.
        payload: Bytes of an encoded picture; taken to go with the pixels where no codec was tried.
    """

    pixels: float
    seconds: float
    payload: float


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """Options on trial.

    Attributes:
        parameters: What differs from the parameters that were asked for.
        image_auroc: Normal pictures against those with a drawn defect, by detectors that saw neither.
        gain: By how much that is more than with the parameters that were asked for.
        interval: Of the gain, 95 %, from a paired bootstrap of the pictures.
        margin: What the interval must lie above.
        cost: Of another input size; None for options that cost the same or little.
    """

    parameters: dict[str, Any]
    image_auroc: float
    gain: float
    interval: tuple[float, float]
    margin: float
    cost: Cost | None = None

    @property
    def convinces(self) -> bool:
        """Whether the gain is certain."""
        return self.interval[0] > self.margin

    @property
    def worth(self) -> float:
        """The gain, less what such options gain on drawn defects alone and what their cost must bring."""
        return self.gain - self.margin


class Tuning(msgspec.Struct, frozen=True, kw_only=True):
    """Why a detector's parameters are as they are.

    Attributes:
        chosen: What was changed; empty where the parameters asked for were kept.
        reason: One sentence.
        pictures: Normal ones that it rests on.
        planted: Pictures with a drawn defect.
        tried: Best first, by gain less margin.
    """

    chosen: dict[str, Any]
    reason: str
    pictures: int
    planted: int
    tried: tuple[Tried, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What detectors with some options said.

    Attributes:
        parameters: What differs from the parameters asked for.
        normal: `(N,)`, scores of normal pictures.
        planted: `(M,)`, scores of pictures with a drawn defect.
        cost: Of another input size.
    """

    parameters: dict[str, Any]
    normal: Scores
    planted: Scores
    cost: Cost | None = None

    @property
    def image_auroc(self) -> float:
        """How well they tell the two apart."""
        truth = np.arange(len(self.normal) + len(self.planted)) >= len(self.normal)
        found = image_auroc(truth, np.concatenate([self.normal, self.planted]))
        assert found is not None, "there are pictures of both kinds"
        return found


def fits_of(detector: str, fixed: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Options to fit with, none first; those that a person has decided are not tried."""
    return [{}, *(options for options in detector_class(detector).tuning_options if not options.keys() & fixed.keys())]


def scores_of(detector: str, fixed: Mapping[str, Any]) -> tuple[str, ...]:
    """Ways of scoring to try, the default first; the one that a person has decided on, alone."""
    return (str(fixed[SCORE]),) if SCORE in fixed else detector_class(detector).score_modes


def decide(outcomes: Sequence[Outcome], sources: NDArray[np.intp], *, seed: int) -> Tuning:
    """The options that find most, if that is certain.

    Args:
        outcomes: Of all options; the first is of the parameters asked for.
        sources: `(M,)`, into which of the normal pictures each defect was drawn: these are resampled together.
        seed: Of the bootstrap.
    """
    asked = outcomes[0]
    rng = np.random.default_rng(seed)
    count = len(asked.normal)
    drawn = rng.multinomial(count, np.full(count, 1 / count), size=_RESAMPLES).astype(np.float64)
    tried = [_tried(asked, other, drawn, sources) for other in outcomes[1:]]
    tried.sort(key=lambda each: -each.worth)
    best = next((each for each in tried if each.convinces), None)
    basis = f"{len(sources)} defects drawn into {count} normal pictures, of which the parameters asked for find "
    return Tuning(
        chosen=best.parameters if best else {},
        reason=(describe(best) if best else "nothing is better for certain") + f", on {basis}{asked.image_auroc:.4f}",
        pictures=count,
        planted=len(sources),
        tried=tuple(tried),
    )


def describe(tried: Tried) -> str:
    """Options with their gain."""
    low, high = tried.interval
    options = " ".join(f"{name}={value}" for name, value in tried.parameters.items())
    return f"{options} gains {tried.gain:+.4f} image AUROC ({low:+.4f} to {high:+.4f}){_told_cost(tried.cost)}"


def margin_of(parameters: Mapping[str, Any], cost: Cost | None) -> float:
    """What the gain of such options must exceed with its whole interval."""
    if cost is not None:
        return INPUT_MARGIN + PIXEL_MARGIN * max(0.0, cost.pixels - 1)
    return SCORE_MARGIN if set(parameters) <= {SCORE} else FIT_MARGIN


def _told_cost(cost: Cost | None) -> str:
    if cost is None:
        return ""
    return (
        f" for {cost.pixels:.2f} times the pixels ({cost.seconds:.2f} times the seconds of codec and "
        f"backbone here, {cost.payload:.2f} times the payload)"
    )


def _tried(asked: Outcome, other: Outcome, drawn: Scores, sources: NDArray[np.intp]) -> Tried:
    difference = _wins(other) - _wins(asked)
    planted = drawn[:, sources]
    gains = ((planted @ difference) * drawn).sum(axis=1) / (planted.sum(axis=1) * drawn.sum(axis=1))
    low, high = np.quantile(gains, [(1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2])
    return Tried(
        parameters=other.parameters,
        image_auroc=other.image_auroc,
        gain=other.image_auroc - asked.image_auroc,
        interval=(float(low), float(high)),
        margin=margin_of(other.parameters, other.cost),
        cost=other.cost,
    )


def _wins(outcome: Outcome) -> Scores:
    """For each planted and each normal picture, 1 where the planted one scores higher, 0.5 where alike."""
    wins: Scores = (np.sign(outcome.planted[:, None] - outcome.normal[None, :]) + 1) / 2
    return wins
