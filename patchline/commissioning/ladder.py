"""One codec of a station's ladder: the detector for it is fitted and calibrated, and its artifact is written."""

import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import numpy as np

from patchline.artifacts.artifact import SUFFIX, ArtifactHeader, NormalScores, save
from patchline.artifacts.assets import CODEC
from patchline.artifacts.choices import Choice
from patchline.artifacts.store import keep_older
from patchline.commissioning.codec_pass import Passed
from patchline.commissioning.commissioned import CommissionedCodec
from patchline.commissioning.held_out import HeldOut, batches, score_held_out
from patchline.commissioning.pipeline import Workbench
from patchline.commissioning.request import OnPhase, Request
from patchline.commissioning.stopwatch import Stopwatch
from patchline.commissioning.trials.options import choose_options
from patchline.commissioning.trials.planted import TwoFolds
from patchline.runtime.version import program_version
from patchline.vision.detectors.protocol import Detector
from patchline.vision.pixels.arrays import Progress
from patchline.vision.scoring.calibration import calibrate
from patchline.vision.scoring.drift import quantiles_of
from patchline.wire.messages import AssetReference

RECORDED_VERSIONS = ("numpy", "onnxruntime", "pillow")


@dataclass(frozen=True, kw_only=True)
class LadderStep:
    """What every codec of a ladder is commissioned with.

    Attributes:
        request: What was asked for, at the input size that was chosen.
        kind: The detector's class.
        bench: The good pictures with the backbones.
        codec_choice: Why the first codec is the first one, where it was chosen.
        input_choice: Why the input size is what it is, where others were tried.
    """

    request: Request
    kind: type[Detector]
    bench: Workbench
    codec_choice: Choice | None
    input_choice: Choice | None

    def make(self, name: str, on_progress: OnPhase) -> CommissionedCodec:
        """Fit, calibrate and write the artifact of one codec.

        Raises:
            MisconfiguredError: The codec or the detector cannot be fitted, or the codec is over the budget.
            UnavailableError: The output folder cannot be written.
        """

        def phases(phase: str) -> Progress:
            return lambda done, total: on_progress(f"{name}: {phase}", done, total)

        request, watch = self.request, Stopwatch()
        passed = self.bench.through(name, watch=watch, phases=phases)
        assets = self.bench.keep(name)
        with watch("tune"):
            tuning = self._tuning(passed, phases("tune")) if request.tune else None
        parameters = {**request.parameters, **(tuning.chosen if tuning else {})}
        with watch("hold out"):
            held_out = score_held_out(
                self.kind,
                passed.maps,
                size=request.input_size,
                folds=request.folds,
                seed=request.seed,
                parameters=parameters,
                on_progress=phases("hold out"),
            )
        with watch("fit"):
            detector = self._fit(passed, parameters, phases("fit"))
        path = request.out / str(request.station) / f"{name.replace(':', '-')}{SUFFIX}"
        keep_older(path)
        artifact = save(path, self._header(passed, detector, held_out, assets, tuning), detector)
        shapes = {tensor: array.shape for tensor, array in detector.tensors().items()}
        return CommissionedCodec(
            name, path, artifact, passed.payload_bytes, shapes, detector.facts(), watch.seconds, assets
        )

    def _fit(self, passed: Passed, parameters: Mapping[str, Any], on_progress: Progress) -> Detector:
        everything = np.arange(len(next(iter(passed.maps.values()))))
        return self.kind.fit(
            batches(passed.maps, everything), seed=self.request.seed, on_progress=on_progress, **parameters
        )

    def _tuning(self, passed: Passed, on_progress: Progress) -> Choice:
        return choose_options(
            TwoFolds(self.kind, self.request.parameters, self.request.seed),
            self.bench.pictures,
            passed.maps,
            lambda pictures: self.bench.send(passed.codec, pictures),
            on_progress=on_progress,
        )

    def _header(
        self,
        passed: Passed,
        detector: Detector,
        held_out: HeldOut,
        assets: tuple[AssetReference, ...],
        tuning: Choice | None,
    ) -> ArtifactHeader:
        request = self.request
        return ArtifactHeader(
            station=str(request.station),
            codec=passed.codec,
            codec_asset=next((asset.sha256 for asset in assets if asset.name == CODEC), ""),
            input_size=request.input_size,
            backbone=passed.backbone,
            detector=request.detector,
            parameters=detector.parameters,
            calibration=calibrate(held_out.scores, target_false_reject_rate=request.target_false_reject_rate),
            normal_scores=_normal_scores(held_out),
            map_range=held_out.map_range,
            codec_choice=self.codec_choice,
            tuning=tuning,
            input_tuning=self.input_choice,
            seed=request.seed,
            created=time.time(),
            versions={
                "python": platform.python_version(),
                "patchline": program_version(),
                **{name: metadata.version(name) for name in RECORDED_VERSIONS},
            },
        )


def _normal_scores(held_out: HeldOut) -> NormalScores:
    scores = held_out.scores
    if not len(scores):
        return NormalScores(0, 0.0, 0.0, 0.0)
    return NormalScores(
        images=len(scores),
        lowest=float(scores.min()),
        median=float(np.median(scores)),
        highest=float(scores.max()),
        quantiles=quantiles_of(scores),
    )
