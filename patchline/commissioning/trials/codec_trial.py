"""Codecs on trial at commissioning: what each makes a detector miss of defects drawn into normal pictures.

Every normal picture is judged twice, as it is and with one drawn defect, by a detector (and where it has to be fitted,
a codec) that learnt from the other half of the pictures. Original and codec judge the same pictures, so their
difference is paired.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from patchline.artifacts.codec_choice import ORIGINAL, RAW_MAPS, CodecChoice, Tried, describe
from patchline.commissioning.codec_pass import Phases
from patchline.commissioning.held_out import batches, folds_of
from patchline.commissioning.normal_pictures import embed, send_maps_through, send_through
from patchline.commissioning.pipeline import Chosen
from patchline.pictures.products.plant import DEFECTS, plant_into
from patchline.vision.codecs.features.protocol import FeatureCodec
from patchline.vision.codecs.lookup import codec_of, feature_codec_class, is_feature_codec
from patchline.vision.detectors.protocol import Detector
from patchline.vision.pixels.arrays import FeatureMaps, Pixels, Progress
from patchline.vision.scoring.bootstrap import bootstrap_interval
from patchline.vision.scoring.evaluation import image_auroc
from patchline.wire.errors import MisconfiguredError

FEWEST_PICTURES = 10
HALVES = 2
CONTRASTS = (1.0, 0.5, 0.25, 0.15, 0.1)
"""Tried in turn until the original misses enough that a loss can be seen."""
TELLING_AUROC = 0.97
_SIZES = (0.05, 0.2)
_WEIGHED = 8
"""Pictures by whose bytes codecs are put in order before they are tried."""

Scores = NDArray[np.float64]


@dataclass
class Trial:
    """Everything codecs are tried with.

    Attributes:
        pictures: `(N, H, W, 3)`, normal, at the input size.
        chosen: The backbones.
        kind: The detector's class.
        parameters: The detector's.
        seed: Of everything random.
    """

    pictures: Pixels
    chosen: Chosen
    kind: type[Detector]
    parameters: Mapping[str, Any]
    seed: int
    _maps: FeatureMaps = field(default_factory=dict)
    _planted_maps: FeatureMaps = field(default_factory=dict)

    def choose(self, codecs: Sequence[str], false_loss: float, *, phases: Phases) -> CodecChoice:
        """Try codecs by rising bytes until the loss of one is bounded.

        Args:
            codecs: Full names.
            false_loss: Most image AUROC that may be lost, with the whole interval.
            phases: Gives a codec's own progress.

        Raises:
            MisconfiguredError: There are too few pictures to tell, a codec cannot be fitted, or no loss is bounded.
        """
        if len(self.pictures) < FEWEST_PICTURES:
            raise MisconfiguredError(
                f"{len(self.pictures)} normal pictures cannot bound a loss",
                where="--false-loss",
                remedy=f"give at least {FEWEST_PICTURES}; a hundred and more make the bound tight",
            )
        reference = RAW_MAPS if all(is_feature_codec(name) for name in codecs) else ORIGINAL
        contrast, planted, original = self._telling(reference, phases(f"{reference}: try"))
        weighed = sorted((self._weigh(name), name) for name in codecs)
        tried: list[Tried] = []
        for _, name in weighed:
            tried.append(self._try(name, planted, original, phases(f"{name}: try")))
            if tried[-1].interval[1] <= false_loss:
                break
        return _checked(
            CodecChoice(
                false_loss=false_loss,
                reference=reference,
                reference_auroc=_auroc(original),
                pictures=len(self.pictures),
                contrast=contrast,
                tried=tuple(tried),
            )
        )

    def _telling(self, reference: str, on_progress: Progress) -> tuple[float, Pixels, Scores]:
        """The plainest defects of which the reference misses some, and its scores: normal, then planted."""
        found: tuple[float, Pixels, Scores] | None = None
        for contrast in CONTRASTS:
            planted = self._planted(contrast)
            if planted is None:
                break
            found = contrast, planted, self._scores(reference, planted, on_progress)[0]
            if _auroc(found[2]) <= TELLING_AUROC:
                break
        assert found is not None, "defects of full contrast can be seen"
        return found

    def _planted(self, contrast: float) -> Pixels | None:
        """Every picture with one defect; None where they are too faint to be seen."""
        self._planted_maps = {}
        planted = np.empty_like(self.pictures)
        kinds = tuple(DEFECTS)
        for place, picture in enumerate(self.pictures):
            rng = np.random.default_rng([self.seed, place])
            kind, size = kinds[int(rng.integers(len(kinds)))], float(rng.uniform(*_SIZES))
            try:
                planted[place] = plant_into(picture, kind, size=size, contrast=contrast, rng=rng)[0]
            except MisconfiguredError:
                return None
        return planted

    def _try(self, name: str, planted: Pixels, original: Scores, on_progress: Progress) -> Tried:
        scores, payload_bytes = self._scores(name, planted, on_progress)
        interval = bootstrap_interval(_truth(scores), original, scores, seed=self.seed)
        assert interval is not None, "there are normal pictures and planted ones"
        auroc = _auroc(scores)
        return Tried(
            codec=name, payload_bytes=payload_bytes, image_auroc=auroc, loss=_auroc(original) - auroc, interval=interval
        )

    def _scores(self, name: str, planted: Pixels, on_progress: Progress) -> tuple[Scores, float]:
        """Scores of the normal pictures, then of the planted ones, and the mean bytes of a normal one."""
        count = len(self.pictures)
        scores, sizes = np.empty(2 * count), []
        split = folds_of(count, HALVES, seed=self.seed)
        sent = None if is_feature_codec(name) else self._pictures_through(name, planted)
        for done, held in enumerate(split):
            on_progress(done, len(split))
            others = np.setdiff1d(np.arange(count), held)
            normal, defective, payload_bytes = sent or self._maps_through(name, planted, others)
            detector = self.kind.fit(batches(normal, others), seed=self.seed, **self.parameters)
            scores[held] = _judged(detector, normal, held, self._size)
            scores[count + held] = _judged(detector, defective, held, self._size)
            sizes.append(payload_bytes)
        on_progress(len(split), len(split))
        return scores, float(np.mean(sizes))

    @property
    def _size(self) -> tuple[int, int]:
        return self.pictures.shape[1], self.pictures.shape[2]

    def _pictures_through(self, name: str, planted: Pixels) -> tuple[FeatureMaps, FeatureMaps, float]:
        assert self.chosen.service is not None, f"{name} needs a backbone of the service"
        codec, engine = codec_of(name), self.chosen.service[1]
        normal, payload_bytes = send_through(codec, self.pictures, _silently)
        defective, _ = send_through(codec, planted, _silently)
        return embed(engine, normal, _silently), embed(engine, defective, _silently), payload_bytes

    def _maps_through(
        self, name: str, planted: Pixels, others: NDArray[np.intp]
    ) -> tuple[FeatureMaps, FeatureMaps, float]:
        self._maps = self._maps or self._embedded(self.pictures)
        self._planted_maps = self._planted_maps or self._embedded(planted)
        codec = self._fitted(name, {tap: values[others] for tap, values in self._maps.items()})
        normal, payload_bytes = send_maps_through(codec, self._maps, _silently)
        return normal, send_maps_through(codec, self._planted_maps, _silently)[0], payload_bytes

    def _embedded(self, pictures: Pixels) -> FeatureMaps:
        assert self.chosen.edge is not None, "a codec of feature maps needs a backbone at the edge"
        return embed(self.chosen.edge[1], pictures, _silently)

    def _fitted(self, name: str, maps: FeatureMaps) -> FeatureCodec:
        kind, parameter = feature_codec_class(name)
        return kind.fit(parameter, maps, seed=self.seed)

    def _weigh(self, name: str) -> float:
        """Mean bytes of a few pictures."""
        if not is_feature_codec(name):
            return send_through(codec_of(name), self.pictures[:_WEIGHED], _silently)[1]
        self._maps = self._maps or self._embedded(self.pictures)
        few = {tap: values[:_WEIGHED] for tap, values in self._maps.items()}
        return send_maps_through(self._fitted(name, self._maps), few, _silently)[1]


def _checked(choice: CodecChoice) -> CodecChoice:
    """A choice that has chosen."""
    if choice.chosen is None:
        closest = min(choice.tried, key=lambda tried: tried.interval[1])
        raise MisconfiguredError(
            f"{choice.reason}; closest comes {describe(closest)}",
            where="--false-loss",
            remedy="allow more, give more normal pictures or a codec with more bytes",
        )
    return choice


def _judged(detector: Detector, maps: FeatureMaps, places: NDArray[np.intp], size: tuple[int, int]) -> Scores:
    rendered = [detector.render(detector.search(detector.embed(batch)), size) for batch in batches(maps, places)]
    return np.concatenate([rendering.scores for rendering in rendered]).astype(np.float64)


def _truth(scores: Scores) -> NDArray[np.bool_]:
    return np.arange(len(scores)) >= len(scores) // 2


def _auroc(scores: Scores) -> float:
    found = image_auroc(_truth(scores), scores)
    assert found is not None, "there are normal pictures and planted ones"
    return found


def _silently(done: int, total: int) -> None:
    """A trial reports its own progress in halves."""
    del done, total
