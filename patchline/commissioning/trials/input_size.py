"""Which input size suits a line: the one asked for, the pictures' own aspect, or more pixels.

Defects are planted into the pictures as they are stored, so that every size sees the same ones, and small ones are as
hard to see as on the line. It is chosen before everything else, with the detector's options as asked for.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, exp, sqrt

import msgspec
import numpy as np

from patchline.artifacts.choices import Choice, Tried
from patchline.commissioning.normal_pictures import embed, send_through, silently
from patchline.commissioning.pipeline import Chosen
from patchline.commissioning.trials.comparison import best_of, compare, input_margin, too_few
from patchline.commissioning.trials.planted import (
    FEWEST_PICTURES,
    MOST_PICTURES,
    Scores,
    TwoFolds,
    plant,
    sources_of,
)
from patchline.pictures.files import Sample, open_picture
from patchline.vision.backbones.lookup import backbone_of
from patchline.vision.codecs.lookup import codec_of, is_feature_codec
from patchline.vision.pixels.arrays import FeatureMaps, Pixels, Progress, Size
from patchline.vision.pixels.preprocessing import resize
from patchline.wire.errors import MisconfiguredError, UnreadableError

INPUT_SIZE = "input_size"
LONGER = (1.0, 256 / 224, 320 / 224)
"""How much longer the sides of what is tried are: as many pixels as asked for, a third more, and twice as many."""
SMALLEST, LARGEST = 16, 8192
"""Sides an artifact and a profile can name."""
_ROOM = 4
"""Defects are planted into pictures of at most so many times the pixels of the largest input, shrunk where need be."""


@dataclass(frozen=True, kw_only=True)
class InputTrial:
    """What input sizes are tried with.

    Attributes:
        asked: The size that is kept unless another one is better for certain.
        stride: Of the coarsest tap.
        folds: What scores.
        send: Gives the maps of pictures of any one size.
    """

    asked: Size
    stride: int
    folds: TwoFolds
    send: Callable[[Pixels], FeatureMaps]

    def choose(self, samples: Sequence[Sample], on_progress: Progress) -> tuple[Size, Choice]:
        """Try sizes on good pictures, the one asked for first.

        Args:
            samples: The pictures; those that cannot be read are left out.
            on_progress: Called with sizes done and sizes in all; those of a larger input take longer.

        Raises:
            MisconfiguredError: The detector cannot be fitted at the size asked for.
        """
        rng = np.random.default_rng(self.folds.seed)
        pictures = _stored(samples, self.asked, rng)
        if len(pictures) < FEWEST_PICTURES:
            return self.asked, too_few(len(pictures))
        shapes = [(picture.shape[0], picture.shape[1]) for picture in pictures]
        sizes = {written(size): size for size in (self.asked, *sizes_to_try(self.asked, shapes, self.stride))}
        on_progress(0, len(sizes))  # planting takes its time, too
        sources = sources_of(len(pictures))
        planted = [plant(pictures[source], rng) for source in sources]
        reference: Scores | None = None
        tried: list[Tried] = []
        for place, (name, size) in enumerate(sizes.items()):
            on_progress(place, len(sizes))
            try:
                maps = [self.send(np.stack([resize(each, size) for each in some])) for some in (pictures, planted)]
                (scores,) = self.folds.scores(maps[0], maps[1], sources).values()
            except MisconfiguredError:
                if reference is None:
                    raise
                continue  # a network or a detector's memory that has no room for this size leaves the others
            if reference is None:
                reference = scores
                continue
            pixels = size[0] * size[1] / (self.asked[0] * self.asked[1])
            found = compare(reference, scores, {INPUT_SIZE: name}, sources, seed=self.folds.seed)
            tried.append(msgspec.structs.replace(found, margin=input_margin(pixels), pixels=pixels))
        on_progress(len(sizes), len(sizes))
        assert reference is not None, "the size asked for comes first"
        choice = best_of(tried, reference)
        return sizes[choice.chosen.get(INPUT_SIZE, written(self.asked))], choice


def way_of(chosen: Chosen, codec: str) -> tuple[int, Callable[[Pixels], FeatureMaps]]:
    """The coarsest stride of the backbone behind a codec, and what sends pictures of any size through both.

    Args:
        chosen: The backbones of the codec's ladder.
        codec: Its full name; a feature codec, which would have to be fitted for every size, is left out, and so is one
            that is still to be chosen, "".
    """
    pictures = bool(codec) and not is_feature_codec(codec)
    behind = chosen.service if pictures or chosen.edge is None else chosen.edge
    assert behind is not None, f"{codec} was not among the codecs chosen"
    key, engine = behind
    stride = max(backbone_of(key.name).taps[tap].stride for tap in key.taps)

    def send(several: Pixels) -> FeatureMaps:
        return embed(engine, send_through(codec_of(codec), several, silently)[0] if pictures else several, silently)

    return stride, send


def sizes_to_try(asked: Size, stored: Sequence[Size], stride: int) -> tuple[Size, ...]:
    """The pictures' own aspect with about as many pixels as asked for, then with more and more.

    Args:
        asked: The input size otherwise taken.
        stored: Sizes of the pictures; where they differ, the aspect in the middle counts.
        stride: Of the coarsest tap: sides are its multiples, so that no tap's last row or column is cut.

    Returns:
        Without the one asked for; of square pictures only the larger ones are left.
    """
    aspect = exp(float(np.median([np.log(height / width) for height, width in stored])))
    side, stretch = sqrt(asked[0] * asked[1]), sqrt(aspect)
    sizes = [
        (_multiple(side * longer * stretch, stride), _multiple(side * longer / stretch, stride)) for longer in LONGER
    ]
    return tuple(size for size in dict.fromkeys(sizes) if size != asked)


def written(size: Size) -> str:
    """A size as a person gives it: HEIGHTxWIDTH."""
    return f"{size[0]}x{size[1]}"


def _multiple(side: float, stride: int) -> int:
    return int(np.clip(max(1, round(side / stride)), ceil(SMALLEST / stride), LARGEST // stride)) * stride


def _stored(samples: Sequence[Sample], asked: Size, rng: np.random.Generator) -> list[Pixels]:
    """Some of the good pictures as they are stored, or shrunk to what is enough for every size tried."""
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
