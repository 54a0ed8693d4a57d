"""Input sizes on trial at commissioning: whether the pictures' own aspect, or more pixels, finds more drawn defects.

Defects are drawn into the pictures as they are stored, so that every size sees the same ones, and small ones are as
hard to see as on the line. It comes before all else that is chosen, with the detector's options as asked for.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from patchline.artifacts.tuning import INPUT_SIZE, SCORE, Cost, Outcome, Tuning, decide, scores_of
from patchline.commissioning.held_out import BATCH_PICTURES
from patchline.commissioning.normal_pictures import embed, send_through, silently
from patchline.commissioning.pipeline import Chosen
from patchline.commissioning.trials.input_sizes import LONGER, sizes_to_try, written
from patchline.commissioning.trials.tuner import FEWEST_PICTURES, MOST_PICTURES, draw_into, sources_of, too_few
from patchline.commissioning.trials.two_fold_scores import HALVES, TwoFoldScores
from patchline.pictures.files import Sample, open_picture
from patchline.vision.backbones.lookup import backbone_of
from patchline.vision.codecs.lookup import codec_of, is_feature_codec
from patchline.vision.detectors.protocol import Detector
from patchline.vision.pixels.arrays import FeatureMaps, Pixels, Progress, Size
from patchline.vision.pixels.preprocessing import resize
from patchline.wire.errors import MisconfiguredError, UnreadableError

_ROOM = 4
"""Defects are drawn into pictures of at most so many times the pixels of the largest input, shrunk where need be."""
_STEPS, _ROUNDS = 1 + HALVES, 5


@dataclass(frozen=True)
class Sent:
    """Pictures as a detector gets them, and the mean bytes of an encoded one; None where no codec was between."""

    maps: FeatureMaps
    payload_bytes: float | None = None


@dataclass(frozen=True)
class Sizing:
    """The input size that was chosen, and why."""

    size: Size
    tuning: Tuning


@dataclass(frozen=True, kw_only=True)
class InputTrial:
    """What input sizes are tried with.

    Attributes:
        asked: The size that is kept unless another is better for certain.
        stride: Of the coarsest tap.
        kind: The detector's class.
        parameters: Those that a person has decided on.
        send: Gives the maps of pictures of any one size.
        seed: Of the pictures taken, the defects, the halves and the fits.
    """

    asked: Size
    stride: int
    kind: type[Detector]
    parameters: Mapping[str, Any]
    send: Callable[[Pixels], Sent]
    seed: int

    def choose(self, samples: Sequence[Sample], on_progress: Progress) -> Sizing:
        """Try sizes on good pictures, the one asked for first.

        Args:
            samples: The pictures; those that cannot be read are left out.
            on_progress: Called with steps done and steps in all; those of a larger input take longer.

        Raises:
            MisconfiguredError: The detector cannot be fitted at the size asked for.
        """
        rng = np.random.default_rng(self.seed)
        pictures = _stored(samples, self.asked, rng)
        if len(pictures) < FEWEST_PICTURES:
            return Sizing(self.asked, too_few(len(pictures)))
        shapes = [(picture.shape[0], picture.shape[1]) for picture in pictures]
        sizes = (self.asked, *sizes_to_try(self.asked, shapes, self.stride))
        on_progress(0, len(sizes) * _STEPS)  # drawing takes its time, too
        sources = sources_of(len(pictures))
        planted = [draw_into(pictures[source], rng) for source in sources]
        outcomes: list[_Measured] = []
        for place, size in enumerate(sizes):

            def on_step(step: int, before: int = place) -> None:
                on_progress(before * _STEPS + step, len(sizes) * _STEPS)

            try:
                outcomes.append(self._measured(size, pictures, planted, sources, on_step))
            except MisconfiguredError:
                if size == self.asked:
                    raise
                continue  # a network or a detector's memory that has no room for this size leaves the others
        on_progress(len(sizes) * _STEPS, len(sizes) * _STEPS)
        tuning = decide([_costed(each, outcomes[0]) for each in outcomes], sources, seed=self.seed)
        named = {written(size): size for size in sizes}
        return Sizing(named[tuning.chosen.get(INPUT_SIZE, written(self.asked))], tuning)

    def _measured(
        self,
        size: Size,
        pictures: list[Pixels],
        planted: list[Pixels],
        sources: NDArray[np.intp],
        on_step: Callable[[int], None],
    ) -> "_Measured":
        on_step(0)
        normal, defective = (self.send(np.stack([resize(each, size) for each in some])) for some in (pictures, planted))
        (word, *_) = scores_of(self.kind.name, self.parameters)
        judged = TwoFoldScores(normal.maps, defective.maps, sources, self.seed)
        found = judged.scores(self.kind, {**self.parameters, SCORE: word}, (word,), lambda half: on_step(1 + half))
        slower = 1.0 if size == self.asked else self._slower(size, pictures[:BATCH_PICTURES])
        return _Measured(size, *found[word], slower, normal.payload_bytes)

    def _slower(self, size: Size, pictures: list[Pixels]) -> float:
        """How many times the seconds of the size asked for a few pictures take on their way.

        Both take turns, and the fastest turns count, so that what else runs here matters least.
        """
        stacks = [np.stack([resize(each, size) for each in pictures]) for size in (self.asked, size)]
        taken: list[list[float]] = [[], []]
        for _ in range(_ROUNDS):
            for stack, seconds in zip(stacks, taken, strict=True):
                started = time.perf_counter()
                self.send(stack)
                seconds.append(time.perf_counter() - started)
        return min(taken[1]) / min(taken[0])


@dataclass(frozen=True)
class _Measured:
    size: Size
    normal: NDArray[np.float64]
    planted: NDArray[np.float64]
    slower: float
    payload_bytes: float | None


def way_of(chosen: Chosen, codec: str) -> tuple[int, Callable[[Pixels], Sent]]:
    """The coarsest stride of the backbone behind a codec, and what sends pictures of any size through both.

    Args:
        chosen: The backbones of the codec's ladder.
        codec: Its full name; a feature codec, which would have to learn for every size, is left out of the way, and so
            is one that is still to be chosen, "".
    """
    pictures = bool(codec) and not is_feature_codec(codec)
    behind = chosen.service if pictures or chosen.edge is None else chosen.edge
    assert behind is not None, f"{codec} was not among the codecs chosen"
    key, engine = behind
    stride = max(backbone_of(key.name).taps[tap].stride for tap in key.taps)

    def send(several: Pixels) -> Sent:
        decoded, payload_bytes = send_through(codec_of(codec), several, silently) if pictures else (several, None)
        return Sent(embed(engine, decoded, silently), payload_bytes)

    return stride, send


def _costed(measured: _Measured, asked: _Measured) -> Outcome:
    """Scores of a size with what it costs beside the one asked for."""
    if measured is asked:
        return Outcome({}, asked.normal, asked.planted)
    pixels = measured.size[0] * measured.size[1] / (asked.size[0] * asked.size[1])
    both = measured.payload_bytes, asked.payload_bytes
    payload = both[0] / both[1] if both[0] is not None and both[1] else pixels
    cost = Cost(pixels=pixels, seconds=measured.slower, payload=payload)
    return Outcome({INPUT_SIZE: written(measured.size)}, measured.normal, measured.planted, cost)


def _stored(samples: Sequence[Sample], asked: Size, rng: np.random.Generator) -> list[Pixels]:
    """Some of the good pictures as they are stored, or shrunk to what is room enough for every size tried."""
    taken = np.sort(rng.permutation(len(samples))[:MOST_PICTURES])
    room = _ROOM * asked[0] * asked[1] * max(LONGER) ** 2
    pictures: list[Pixels] = []
    for place in taken:
        try:
            picture = open_picture(samples[place].path)
        except UnreadableError:
            continue  # whether such pictures may be left out is decided where all are read
        height, width = picture.shape[:2]
        shrink = min(1.0, sqrt(room / (height * width)))
        pictures.append(resize(picture, (max(1, round(height * shrink)), max(1, round(width * shrink)))))
    return pictures
