"""Commissioning a station: from a folder of good pictures to artifacts that judge its frames, and its profile.

Every picture goes the way a frame will go: resized, encoded, decoded, through the backbone. So the memory bank holds
what the service will really see, and the threshold belongs to the codec it was found with.
"""

import importlib.metadata
import platform
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from analytics_service.artifacts import SUFFIX, Artifact, ArtifactHeader, BackboneKey, NormalScores, save, write_whole
from analytics_service.engines import EngineRoom, default_backbone
from analytics_service.held_out import HeldOut, batches, score_held_out
from analytics_service.normal_pictures import embed, read_pictures, send_through
from analytics_service.shelf import OLDER_FOLDER, PROFILE_FILE
from vision.backbones.engine import Engine
from vision.calibration import calibrate
from vision.codecs.lookup import codec_of
from vision.codecs.protocol import ImageCodec
from vision.detectors import DETECTORS
from vision.detectors.protocol import Detector
from wire_contract.errors import MisconfiguredError, UnavailableError
from wire_contract.messages import Profile, ProfileCodec, pack, sealed, sha256_of
from wire_contract.topics import Station

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
        folds: Parts the pictures are split into for scores of pictures the detector has not seen.
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
    skip_unreadable: bool = False
    threads: int = 1


@dataclass(frozen=True)
class Rung:
    """One codec's artifact, as far as a person wants to know.

    Attributes:
        payload_bytes: Mean size of an encoded picture.
        bank: Shapes of the detector's tensors.
        seconds: Phase -> seconds spent in it.
    """

    codec: str
    path: Path
    artifact: Artifact
    payload_bytes: float
    bank: dict[str, tuple[int, ...]]
    seconds: dict[str, float]


@dataclass(frozen=True)
class Commissioned:
    """What commissioning has made.

    Attributes:
        images: How many normal pictures it rests on.
        skipped: Why pictures were left out, one sentence each.
        read_seconds: For opening and resizing the pictures.
    """

    profile: Profile
    profile_path: Path
    rungs: tuple[Rung, ...]
    backbone: BackboneKey
    images: int
    skipped: tuple[str, ...]
    read_seconds: float

    @property
    def paths(self) -> list[Path]:
        """Every file written."""
        return [*(rung.path for rung in self.rungs), self.profile_path]


def commission(request: Request, *, on_progress: OnPhase) -> Commissioned:
    """Fit, calibrate and write one artifact a codec, then the station's profile.

    An artifact that is replaced is kept in `older/`: parts that wait in an outbox are judged by the one they name.

    Raises:
        MisconfiguredError: There are no or too few pictures, one cannot be read, or a codec, backbone, detector or
            parameter does not exist.
        UnavailableError: The output folder cannot be written.
    """
    codecs = _codecs(request)
    kind = _detector(request)
    key, engine = EngineRoom(threads=request.threads).choose(request.backbone or default_backbone(), request.taps)
    watch = _Stopwatch()
    with watch("read"):
        pictures, skipped = read_pictures(
            request.data,
            request.input_size,
            skip_unreadable=request.skip_unreadable,
            on_progress=lambda done, total: on_progress("read", done, total),
        )
    folder = request.out / str(request.station)
    rungs = tuple(_climb(request, codec, kind, _Bench(key, engine, pictures, folder), on_progress) for codec in codecs)
    profile = sealed(
        Profile(
            station=str(request.station),
            input_size=request.input_size,
            ladder=tuple(ProfileCodec(codec=rung.codec, artifact=rung.artifact.fingerprint) for rung in rungs),
        )
    )
    write_whole(folder / PROFILE_FILE, pack(profile))
    return Commissioned(
        profile, folder / PROFILE_FILE, rungs, key, len(pictures), tuple(skipped), watch.seconds["read"]
    )


@dataclass(frozen=True)
class _Bench:
    """What every rung is made with: the backbone, the pictures at the input size, and where the result goes."""

    key: BackboneKey
    engine: Engine
    pictures: NDArray[np.uint8]
    folder: Path


def _climb(request: Request, codec: ImageCodec, kind: type[Detector], bench: _Bench, on_progress: OnPhase) -> Rung:
    watch = _Stopwatch()
    with watch("encode"):
        decoded, payload_bytes = send_through(
            codec, bench.pictures, lambda done, total: on_progress(f"{codec.name}: encode", done, total)
        )
    with watch("embed"):
        maps = embed(bench.engine, decoded, lambda done, total: on_progress(f"{codec.name}: embed", done, total))
    with watch("hold out"):
        held_out = score_held_out(
            kind,
            maps,
            size=request.input_size,
            folds=request.folds,
            seed=request.seed,
            parameters=request.parameters,
            on_progress=lambda done, total: on_progress(f"{codec.name}: hold out", done, total),
        )
    with watch("fit"):
        detector = kind.fit(
            batches(maps, np.arange(len(decoded))),
            seed=request.seed,
            on_progress=lambda done, total: on_progress(f"{codec.name}: fit", done, total),
            **request.parameters,
        )
    header = _header(request, codec, bench.key, detector, held_out)
    path = bench.folder / f"{codec.name.replace(':', '-')}{SUFFIX}"
    _keep_older(path)
    artifact = save(path, header, detector)
    shapes = {name: tensor.shape for name, tensor in detector.tensors().items()}
    return Rung(codec.name, path, artifact, payload_bytes, shapes, watch.seconds)


def _codecs(request: Request) -> list[ImageCodec]:
    codecs = [codec_of(name) for name in request.codecs]
    names = [codec.name for codec in codecs]
    if not names or len(set(names)) != len(names):
        raise MisconfiguredError(
            f"the ladder {names} has no codec, or one of them twice", where="codec", remedy="name each codec once"
        )
    return codecs


def _detector(request: Request) -> type[Detector]:
    if request.detector not in DETECTORS:
        raise MisconfiguredError(
            f"no detector is called {request.detector!r}",
            where="detector",
            remedy=f"use one of: {', '.join(DETECTORS)}",
        )
    return DETECTORS[request.detector]


def _header(
    request: Request, codec: ImageCodec, key: BackboneKey, detector: Detector, held_out: HeldOut
) -> ArtifactHeader:
    scores = held_out.scores
    return ArtifactHeader(
        station=str(request.station),
        codec=codec.name,
        input_size=request.input_size,
        backbone=key,
        detector=request.detector,
        parameters=detector.parameters,
        calibration=calibrate(scores, target_false_reject_rate=request.target_false_reject_rate),
        normal_scores=NormalScores(len(scores), float(scores.min()), float(np.median(scores)), float(scores.max())),
        map_range=held_out.map_range,
        seed=request.seed,
        created=time.time(),
        versions={
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in RECORDED_VERSIONS},
        },
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


class _Stopwatch:
    """Seconds by phase."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds[phase] = time.perf_counter() - started
