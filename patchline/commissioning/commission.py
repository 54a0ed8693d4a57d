"""Commissioning a station: from a folder of good pictures to artifacts that judge its frames, and its profile.

Every picture goes the way a frame will go: resized, encoded, decoded, through the backbone; or, for a feature codec,
resized, through the backbone, encoded and decoded. So the memory bank holds what the service will really see, and the
threshold belongs to the codec it was found with.
"""

import importlib.metadata
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from patchline.artifacts.artifact import SUFFIX, ArtifactHeader, NormalScores, look_at_folder, save
from patchline.artifacts.codec_choice import CodecChoice, ladder_of
from patchline.artifacts.engines import EngineCache, default_backbone
from patchline.artifacts.store import PROFILE_FILE, keep_older, replace_profile
from patchline.artifacts.tuning import Tuning
from patchline.commissioning.codec_pass import AssetBudget, Passed
from patchline.commissioning.commissioned import Commissioned, Rung
from patchline.commissioning.held_out import HeldOut, batches, score_held_out
from patchline.commissioning.normal_pictures import read_pictures
from patchline.commissioning.pipeline import Chosen, Workbench, choose
from patchline.commissioning.stopwatch import Stopwatch
from patchline.commissioning.trials.codec_trial import Trial
from patchline.commissioning.trials.input_trial import InputTrial, Sizing, way_of
from patchline.commissioning.trials.tuner import tune
from patchline.pictures.files import read_category
from patchline.vision.codecs.lookup import is_feature_codec
from patchline.vision.detectors import detector_class
from patchline.vision.detectors.protocol import Detector
from patchline.vision.pixels.arrays import Progress
from patchline.vision.scoring.calibration import calibrate
from patchline.vision.scoring.drift import quantiles_of
from patchline.wire.messages import Profile, ProfileCodec, pack, sealed
from patchline.wire.topics import Station

DEFAULT_ASSET_BUDGET_BYTES = 16_000_000
"""MobileNetV2's file and a small codec's; at 100 kB/s a station fetches that much in two minutes and a half."""

RECORDED_VERSIONS = ("patchline", "numpy", "onnxruntime", "pillow")


class OnPhase(Protocol):
    """Told how far commissioning is."""

    def __call__(self, phase: str, done: int, total: int, /) -> None:
        """Of this phase, so much is done; a phase ends when `done` is `total`."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to commission.

    Attributes:
        data: Folder of good pictures, plain or in MVTec's layout.
        codecs: Full names, the first one is the one to use.
        backbone: A name of the registry; the packaged one, or MobileNetV2, when empty.
        taps: Feature maps taken; the backbone's default ones when empty.
        parameters: The detector's own.
        folds: Parts the pictures are split into for scores of pictures the detector has not seen; 0 leaves these, and
            with them the threshold, out: for patchline.bench.
        edge_backbone: What the edge runs for feature codecs; `backbone` when empty.
        edge_taps: Taken there; `taps` when empty, or the default ones of an `edge_backbone`.
        uplink_bytes_per_second: The station's; what the budget's seconds are told by.
        asset_budget_bytes: How much the station may have to fetch before it can encode.
        false_loss: Of the codecs, put the smallest one first that loses at most this much image AUROC against the
            original, and leave out those that are larger; see `codec_trial`. None takes the codecs as they come.
        tune: Choose among the detector's options, those in `parameters` excepted, by what finds drawn defects best.
        tune_input: Before that, choose another input size than `input_size` where it is worth what it costs.
        skip_unreadable: Leave out pictures that cannot be read instead of refusing the folder.
        threads: CPU threads of the backbone.
    """

    data: Path
    station: Station
    codecs: tuple[str, ...]
    out: Path
    backbone: str = ""
    taps: tuple[str, ...] = ()
    detector: str = "patchcore"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    input_size: tuple[int, int] = (224, 224)
    target_false_reject_rate: float = 0.01
    folds: int = 4
    seed: int = 0
    edge_backbone: str = ""
    edge_taps: tuple[str, ...] = ()
    uplink_bytes_per_second: float = 100_000.0
    asset_budget_bytes: int = DEFAULT_ASSET_BUDGET_BYTES
    false_loss: float | None = None
    tune: bool = False
    tune_input: bool = False
    skip_unreadable: bool = False
    threads: int = 1


def commission(request: Request, *, on_progress: OnPhase) -> Commissioned:
    """Fit, calibrate and write one artifact a codec, then the station's profile.

    An artifact that is replaced is kept in `older/`: parts that wait in an outbox are judged by the one they name.

    Raises:
        MisconfiguredError: There are no or too few pictures, one cannot be read, a codec, backbone, detector or
            parameter does not exist, the station would have to fetch more than the budget allows, or no codec's loss
            is bounded as asked for.
        UnavailableError: The output folder cannot be written.
    """
    kind = detector_class(request.detector)
    chosen = _chosen(request)
    look_at_folder(request.out / str(request.station))
    watch = Stopwatch()
    sizing = _sizing(request, kind, chosen, on_progress) if request.tune_input else None
    request = request if sizing is None else replace(request, input_size=sizing.size)
    with watch("read"):
        normal = read_pictures(
            request.data,
            request.input_size,
            skip_unreadable=request.skip_unreadable,
            on_progress=lambda done, total: on_progress("read", done, total),
        )
    budget = AssetBudget(
        limit_bytes=request.asset_budget_bytes, uplink_bytes_per_second=request.uplink_bytes_per_second
    )
    pictures = normal.pixels
    choice = _choice(request, Trial(pictures, chosen, kind, request.parameters, request.seed), on_progress)
    bench = Workbench(pictures, chosen, out=request.out, budget=budget, seed=request.seed)
    names = request.codecs if choice is None else ladder_of(choice, request.codecs)
    rungs = tuple(_climb(request, name, kind, bench, on_progress, choice=choice, sizing=sizing) for name in names)
    ladder = tuple(_profile_codec(rung) for rung in rungs)
    profile = sealed(Profile(station=str(request.station), input_size=request.input_size, ladder=ladder))
    replace_profile(request.out / str(request.station) / PROFILE_FILE, pack(profile))
    told = len(pictures), normal.unreadable, normal.doubts
    return Commissioned(request.out, profile, rungs, *told, watch.seconds["read"], choice, sizing)


def _chosen(request: Request) -> Chosen:
    return choose(
        request.codecs,
        EngineCache(threads=request.threads),
        backbone=request.backbone or default_backbone(),
        taps=request.taps,
        edge_backbone=request.edge_backbone,
        edge_taps=request.edge_taps,
    )


def _sizing(request: Request, kind: type[Detector], chosen: Chosen, on_progress: OnPhase) -> Sizing:
    """The input size worth its cost, by the first codec where it is known and one of pictures."""
    stride, send = way_of(chosen, request.codecs[0] if request.false_loss is None else "")
    trial = InputTrial(
        asked=request.input_size,
        stride=stride,
        kind=kind,
        parameters=request.parameters,
        send=send,
        seed=request.seed,
    )
    return trial.choose(
        read_category(request.data).train, lambda done, total: on_progress("try input sizes", done, total)
    )


def _choice(request: Request, trial: Trial, on_progress: OnPhase) -> CodecChoice | None:
    """The outcome of a trial, where one was asked for."""
    if request.false_loss is None:
        return None
    return trial.choose(
        request.codecs, request.false_loss, phases=lambda phase: lambda done, total: on_progress(phase, done, total)
    )


def _climb(
    request: Request,
    name: str,
    kind: type[Detector],
    bench: Workbench,
    on_progress: OnPhase,
    *,
    choice: CodecChoice | None,
    sizing: Sizing | None,
) -> Rung:
    def phases(phase: str) -> Progress:
        return lambda done, total: on_progress(f"{name}: {phase}", done, total)

    watch = Stopwatch()
    passed = bench.through(name, watch=watch, phases=phases)
    with watch("tune"):
        tuning = _tuning(request, kind, bench, passed, phases("tune")) if request.tune else None
    parameters = {**request.parameters, **(tuning.chosen if tuning else {})}
    with watch("hold out"):
        held_out = score_held_out(
            kind,
            passed.maps,
            size=request.input_size,
            folds=request.folds,
            seed=request.seed,
            parameters=parameters,
            on_progress=phases("hold out"),
        )
    with watch("fit"):
        detector = kind.fit(
            batches(passed.maps, np.arange(len(next(iter(passed.maps.values()))))),
            seed=request.seed,
            on_progress=phases("fit"),
            **parameters,
        )
    path = request.out / str(request.station) / f"{name.replace(':', '-')}{SUFFIX}"
    keep_older(path)
    header = _header(request, passed, detector, held_out, choice=choice, tuning=tuning, sizing=sizing)
    artifact = save(path, header, detector)
    shapes = {tensor: array.shape for tensor, array in detector.tensors().items()}
    return Rung(name, path, artifact, passed.payload_bytes, shapes, detector.facts(), watch.seconds, passed.assets)


def _tuning(request: Request, kind: type[Detector], bench: Workbench, passed: Passed, on_progress: Progress) -> Tuning:
    return tune(
        kind,
        bench.pictures,
        passed.maps,
        lambda pictures: bench.send(passed.codec, pictures),
        parameters=request.parameters,
        seed=request.seed,
        on_progress=on_progress,
    )


def _profile_codec(rung: Rung) -> ProfileCodec:
    backbone = rung.artifact.header.backbone
    at_edge = is_feature_codec(rung.codec)
    return ProfileCodec(
        codec=rung.codec,
        artifact=rung.artifact.fingerprint,
        backbone=backbone.name if at_edge else "",
        backbone_sha256=backbone.sha256 if at_edge else "",
        assets=rung.assets,
    )


def _header(
    request: Request,
    passed: Passed,
    detector: Detector,
    held_out: HeldOut,
    *,
    choice: CodecChoice | None,
    tuning: Tuning | None,
    sizing: Sizing | None,
) -> ArtifactHeader:
    return ArtifactHeader(
        station=str(request.station),
        codec=passed.codec,
        codec_asset=passed.codec_asset,
        input_size=request.input_size,
        backbone=passed.backbone,
        detector=request.detector,
        parameters=detector.parameters,
        calibration=calibrate(held_out.scores, target_false_reject_rate=request.target_false_reject_rate),
        normal_scores=_normal_scores(held_out),
        map_range=held_out.map_range,
        codec_choice=choice,
        tuning=tuning,
        input_tuning=None if sizing is None else sizing.tuning,
        seed=request.seed,
        created=time.time(),
        versions={
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in RECORDED_VERSIONS},
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
