"""Commissioning a station: from a folder of good pictures to artifacts that judge its frames, and its profile.

Every picture goes the way a frame will go: resized, encoded, decoded, through the backbone; or, for a feature codec,
resized, through the backbone, encoded and decoded. So the memory bank holds what the service will really see, and the
threshold belongs to the codec it was found with.
"""

import importlib.metadata
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from analytics_service.artifacts import SUFFIX, Artifact, ArtifactHeader, BackboneKey, NormalScores, save, write_whole
from analytics_service.assets import FOLDER
from analytics_service.engines import EngineRoom, default_backbone
from analytics_service.held_out import HeldOut, batches, score_held_out
from analytics_service.normal_pictures import read_pictures
from analytics_service.passage import AssetBudget, Passed
from analytics_service.shelf import OLDER_FOLDER, PROFILE_FILE
from analytics_service.stopwatch import Stopwatch
from analytics_service.workbench import Chosen, Workbench, choose
from vision.arrays import Progress
from vision.calibration import calibrate
from vision.codecs.lookup import is_feature_codec
from vision.detectors import DETECTORS
from vision.detectors.protocol import Detector
from vision.drift import quantiles_of
from wire_contract.errors import MisconfiguredError, UnavailableError
from wire_contract.messages import AssetReference, Profile, ProfileCodec, pack, sealed, sha256_of
from wire_contract.topics import Station

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
            with them the threshold, out: for benchmarks.
        edge_backbone: What the edge runs for feature codecs; `backbone` when empty.
        edge_taps: Taken there; `taps` when empty, or the default ones of an `edge_backbone`.
        uplink_bytes_per_second: The station's; what the budget's seconds are told by.
        asset_budget_bytes: How much the station may have to fetch before it can encode.
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
    skip_unreadable: bool = False
    threads: int = 1


@dataclass(frozen=True)
class Rung:
    """One codec's artifact, as far as a person wants to know.

    Attributes:
        payload_bytes: Mean size of an encoded picture.
        bank: Shapes of the detector's tensors.
        facts: What the fit has found out, name -> number.
        seconds: Phase -> seconds spent in it.
        assets: What an edge node needs to encode like this.
    """

    codec: str
    path: Path
    artifact: Artifact
    payload_bytes: float
    bank: dict[str, tuple[int, ...]]
    facts: dict[str, float]
    seconds: dict[str, float]
    assets: tuple[AssetReference, ...] = ()

    @property
    def backbone(self) -> BackboneKey:
        """Whose feature maps it judges."""
        return self.artifact.header.backbone


@dataclass(frozen=True)
class Commissioned:
    """What commissioning has made.

    Attributes:
        out: The folder of all artifacts.
        images: How many normal pictures it rests on.
        skipped: Why pictures were left out, one sentence each.
        read_seconds: For opening and resizing the pictures.
    """

    out: Path
    profile: Profile
    rungs: tuple[Rung, ...]
    images: int
    skipped: tuple[str, ...]
    read_seconds: float

    @property
    def profile_path(self) -> Path:
        """The profile's file."""
        return self.out / self.profile.station / PROFILE_FILE

    @property
    def assets(self) -> dict[str, AssetReference]:
        """What the station may have to fetch, by sha256."""
        return {asset.sha256: asset for rung in self.rungs for asset in rung.assets}

    @property
    def paths(self) -> list[Path]:
        """Every file written."""
        assets = [self.out / FOLDER / sha256 for sha256 in self.assets]
        return [*(rung.path for rung in self.rungs), *assets, self.profile_path]


def commission(request: Request, *, on_progress: OnPhase) -> Commissioned:
    """Fit, calibrate and write one artifact a codec, then the station's profile.

    An artifact that is replaced is kept in `older/`: parts that wait in an outbox are judged by the one they name.

    Raises:
        MisconfiguredError: There are no or too few pictures, one cannot be read, a codec, backbone, detector or
            parameter does not exist, or the station would have to fetch more than the budget allows.
        UnavailableError: The output folder cannot be written.
    """
    kind = _detector(request)
    chosen = _chosen(request)
    watch = Stopwatch()
    with watch("read"):
        pictures, skipped = read_pictures(
            request.data,
            request.input_size,
            skip_unreadable=request.skip_unreadable,
            on_progress=lambda done, total: on_progress("read", done, total),
        )
    budget = AssetBudget(
        limit_bytes=request.asset_budget_bytes, uplink_bytes_per_second=request.uplink_bytes_per_second
    )
    bench = Workbench(pictures, chosen, out=request.out, budget=budget, seed=request.seed)
    rungs = tuple(_climb(request, name, kind, bench, on_progress) for name in request.codecs)
    ladder = tuple(_profile_codec(rung) for rung in rungs)
    profile = sealed(Profile(station=str(request.station), input_size=request.input_size, ladder=ladder))
    write_whole(request.out / str(request.station) / PROFILE_FILE, pack(profile))
    return Commissioned(request.out, profile, rungs, len(pictures), tuple(skipped), watch.seconds["read"])


def _chosen(request: Request) -> Chosen:
    return choose(
        request.codecs,
        EngineRoom(threads=request.threads),
        backbone=request.backbone or default_backbone(),
        taps=request.taps,
        edge_backbone=request.edge_backbone,
        edge_taps=request.edge_taps,
    )


def _climb(request: Request, name: str, kind: type[Detector], bench: Workbench, on_progress: OnPhase) -> Rung:
    def phases(phase: str) -> Progress:
        return lambda done, total: on_progress(f"{name}: {phase}", done, total)

    watch = Stopwatch()
    passed = bench.through(name, watch=watch, phases=phases)
    with watch("hold out"):
        held_out = score_held_out(
            kind,
            passed.maps,
            size=request.input_size,
            folds=request.folds,
            seed=request.seed,
            parameters=request.parameters,
            on_progress=phases("hold out"),
        )
    with watch("fit"):
        detector = kind.fit(
            batches(passed.maps, np.arange(len(next(iter(passed.maps.values()))))),
            seed=request.seed,
            on_progress=phases("fit"),
            **request.parameters,
        )
    path = request.out / str(request.station) / f"{name.replace(':', '-')}{SUFFIX}"
    _keep_older(path)
    artifact = save(path, _header(request, passed, detector, held_out), detector)
    shapes = {tensor: array.shape for tensor, array in detector.tensors().items()}
    return Rung(name, path, artifact, passed.payload_bytes, shapes, detector.facts(), watch.seconds, passed.assets)


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


def _detector(request: Request) -> type[Detector]:
    if request.detector not in DETECTORS:
        raise MisconfiguredError(
            f"no detector is called {request.detector!r}",
            where="detector",
            remedy=f"use one of: {', '.join(DETECTORS)}",
        )
    return DETECTORS[request.detector]


def _header(request: Request, passed: Passed, detector: Detector, held_out: HeldOut) -> ArtifactHeader:
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


def _keep_older(path: Path) -> None:
    try:
        if path.exists():
            fingerprint = sha256_of(path.read_bytes())
            older = path.parent / OLDER_FOLDER / f"{path.stem}-{fingerprint[:12]}{SUFFIX}"
            older.parent.mkdir(exist_ok=True)
            path.replace(older)
    except OSError as error:
        raise UnavailableError(f"the older artifact {path} cannot be kept: {error.strerror}") from error
