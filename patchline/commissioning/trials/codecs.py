"""Which codec a station can afford: the one with the fewest bytes whose loss of image AUROC is bounded."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from patchline.artifacts.choices import Choice, Tried
from patchline.commissioning.codec_pass import Phases
from patchline.commissioning.pipeline import Workbench
from patchline.commissioning.stopwatch import Stopwatch
from patchline.commissioning.trials.comparison import choice_of, compare
from patchline.commissioning.trials.planted import FEWEST_PICTURES, Scores, TwoFolds, plant, sources_of
from patchline.vision.codecs.lookup import is_feature_codec
from patchline.vision.pixels.arrays import Pixels
from patchline.wire.errors import MisconfiguredError

CODEC = "codec"
DEFAULT_LADDER = ("png", *(f"webp:{quality}" for quality in (95, 90, 80, 60, 40, 20, 10, 5)))
"""What is tried when no codec is named."""
ORIGINAL, RAW_MAPS = "png", "features"
"""What losses are measured against: the picture, or the raw feature maps where all codecs carry feature maps."""
FAINTNESS = (1.0, 0.5, 0.25, 0.1)
"""Tried in turn until the reference misses enough defects that a loss can be seen."""
TELLING_AUROC = 0.97


@dataclass(frozen=True)
class CodecTrial:
    """What codecs are tried with: the good pictures with their backbones, and what scores."""

    bench: Workbench
    folds: TwoFolds

    def choose(self, codecs: Sequence[str], false_loss: float, *, phases: Phases) -> Choice:
        """Try codecs by rising bytes until the loss of one is bounded.

        Args:
            codecs: Full names.
            false_loss: Most image AUROC that may be lost, with the whole interval.
            phases: Gives a codec's own progress.

        Raises:
            MisconfiguredError: There are too few pictures to tell, a codec cannot be fitted, or no loss is bounded.
        """
        count = len(self.bench.pictures)
        if count < FEWEST_PICTURES:
            raise MisconfiguredError(
                f"{count} normal pictures cannot bound a loss",
                where="--false-loss",
                remedy=f"give at least {FEWEST_PICTURES}; a hundred and more make the bound tight",
            )
        name = RAW_MAPS if all(is_feature_codec(each) for each in codecs) else ORIGINAL
        sources = sources_of(count)
        planted, reference = self._telling(name, sources, phases)
        tried: list[Tried] = []
        for payload_bytes, codec in sorted((self.bench.payload_bytes(each), each) for each in codecs):
            scores = self._scores(codec, planted, sources, phases)
            found = compare(reference, scores, {CODEC: codec}, sources, seed=self.folds.seed)
            tried.append(msgspec.structs.replace(found, margin=-false_loss, payload_bytes=payload_bytes))
            if tried[-1].convinces:
                return choice_of(tried[-1], tried, name, reference)
        closest = max(tried, key=lambda each: each.interval[0])
        raise MisconfiguredError(
            f"no codec loses at most {false_loss:g} image AUROC for certain; closest comes {closest.description}",
            where="--false-loss",
            remedy="allow more, give more normal pictures or a codec with more bytes",
        )

    def _telling(self, name: str, sources: NDArray[np.intp], phases: Phases) -> tuple[Pixels, Scores]:
        """The plainest defects of which the reference misses some, and its scores."""
        for faintness in FAINTNESS:
            rng = np.random.default_rng(self.folds.seed)
            planted = np.stack([plant(self.bench.pictures[source], rng, faintness=faintness) for source in sources])
            scores = self._scores(name, planted, sources, phases)
            if scores.image_auroc <= TELLING_AUROC:
                break
        return planted, scores

    def _scores(self, name: str, planted: Pixels, sources: NDArray[np.intp], phases: Phases) -> Scores:
        normal = self.bench.through(name, watch=Stopwatch(), phases=lambda phase: phases(f"{name}: try, {phase}")).maps
        found = self.folds.scores(normal, self.bench.send(name, planted), sources)
        return next(iter(found.values()))


def ladder_of(choice: Choice, codecs: Sequence[str]) -> tuple[str, ...]:
    """A station's codecs after a trial: the chosen one, and below it those with fewer bytes.

    Of the default ladder, which nobody asked for, only the chosen one is left.
    """
    if tuple(codecs) == DEFAULT_LADDER:
        return (str(choice.chosen[CODEC]),)
    return tuple(str(each.parameters[CODEC]) for each in reversed(choice.tried))
