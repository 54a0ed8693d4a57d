"""A replay: pictures with known truth, dealt to stations, played through a real line, and accounted for."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from patchline.artifacts.artifact import Artifact
from patchline.commissioning.commission import OnPhase, Request
from patchline.pictures.files import read_category
from patchline.replay.constraints import By
from patchline.replay.ledger import deal
from patchline.replay.scenario import Kill, MapPolicy, Scenario, StationPlan
from patchline.replay.shared_bank import adopt, commission_for
from patchline.replay.signing import Signer, signer_of
from patchline.wire.errors import MisconfiguredError
from patchline.wire.topics import Station

DEFAULT_CODEC = "webp:80"
_RAW_BYTES_A_PIXEL = 4
"""Of the largest payloads: the pixels themselves, or MobileNetV2's feature maps as floats, with something to spare."""


@dataclass(frozen=True, kw_only=True)
class ReplayOptions:
    """What a person asks of a replay.

    Attributes:
        data: A category's folder, in MVTec's layout.
        report: Where everything of the run is written; new or empty.
        artifact: Use this artifact, or the one in this folder, instead of commissioning from `train/good`.
        codec: What the stations encode with; of an artifact given, which one.
        edge_backbone: What the stations run for a feature codec; `backbone` when empty.
        edge_taps: Taken there; `taps` when empty, or the default ones of an `edge_backbone`.
        parameters: The detector's own.
        edge_slowdown: How many times slower than one core of this machine each station is.
        uplink_bytes_per_second: What each station can send; as much as it likes where None.
        constrained_by: Who holds the stations back so.
        limit: Play so many parts; beyond the number of pictures, these come again.
        signed: Sign artifacts and profiles, and have service and stations ask for it; with a key made for the run
            unless there is a `signing_key`.
    """

    data: Path
    report: Path
    stations: int = 4
    takt_seconds: float = 0.5
    codec: str | None = None
    backbone: str = ""
    taps: tuple[str, ...] = ()
    edge_backbone: str = ""
    edge_taps: tuple[str, ...] = ()
    detector: str = "patchcore"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    input_size: tuple[int, int] = (224, 224)
    false_reject_rate: float = 0.01
    seed: int = 0
    artifact: Path | None = None
    backbone_threads: int = 1
    limit: int | None = None
    kills: tuple[Kill, ...] = ()
    maps: MapPolicy = "all"
    deadline_seconds: float = 2.0
    edge_slowdown: float = 1.0
    uplink_bytes_per_second: float | None = None
    constrained_by: By = "auto"
    signed: bool = False
    signing_key: Path | None = None


def prepare(options: ReplayOptions, *, on_phase: OnPhase) -> Scenario:
    """Distribute the parts, and commission the stations or use an artifact that exists.

    Raises:
        MisconfiguredError: The folder, the artifact or an option is wrong.
        UnavailableError: The report's folder cannot be written.
    """
    category = read_category(options.data)
    line = re.sub(r"[^A-Za-z0-9_-]+", "-", category.name)[:64] or "line"
    stations = [str(Station("replay", line, f"station-{place + 1}")) for place in range(options.stations)]
    entries = deal(category, stations, seed=options.seed, limit=options.limit)
    new_folder(options.report)
    wanted = options.signed or options.signing_key is not None
    signer = signer_of(options.report, options.signing_key) if wanted else None
    artifact = _artifact(options, stations, on_phase, signer)
    return Scenario(
        title=f"Replay of {category.name} on {len(stations)} station{'s' if len(stations) > 1 else ''}",
        directory=options.report,
        stations=tuple(
            StationPlan(station=station, entries=tuple(entry for entry in entries if entry.station == station))
            for station in stations
        ),
        artifacts=options.report / "artifacts",
        takt_seconds=options.takt_seconds,
        kills=options.kills,
        maps=options.maps,
        backbone_threads=options.backbone_threads,
        deadline_seconds=options.deadline_seconds,
        edge_slowdown=options.edge_slowdown,
        uplink_bytes_per_second=options.uplink_bytes_per_second,
        constrained_by=options.constrained_by,
        verify_key=signer.verify_key if signer is not None else None,
        grace_seconds=_grace_seconds(options, artifact, len(entries)),
        configuration=_configuration(options, category.name, artifact, signed=signer is not None),
    )


def _grace_seconds(options: ReplayOptions, artifact: Artifact, parts: int) -> float:
    """How long the line may take beyond its takt: on a thin line, as long as the largest payloads take, too."""
    grace = Scenario.grace_seconds
    if options.uplink_bytes_per_second is not None:
        height, width = artifact.header.input_size
        largest_bytes = _RAW_BYTES_A_PIXEL * height * width * -(-parts // options.stations)
        grace += largest_bytes / options.uplink_bytes_per_second
    return grace


def new_folder(path: Path) -> None:
    """Make the folder of a run; an earlier run in it is not mixed with this one.

    Raises:
        MisconfiguredError: It holds something, or cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        occupied = any(path.iterdir())
    except OSError as error:
        raise MisconfiguredError(f"the folder cannot be made: {error.strerror}", where=str(path)) from error
    if occupied:
        raise MisconfiguredError(
            "the folder holds something already", where=str(path), remedy="name a new one, or remove it"
        )


def _artifact(options: ReplayOptions, stations: list[str], on_phase: OnPhase, signer: Signer | None) -> Artifact:
    out = options.report / "artifacts"
    if options.artifact is not None:
        return adopt(options.artifact, stations, out, codec=options.codec, signer=signer)
    request = Request(
        data=options.data,
        station=Station.parse(stations[0]),
        codecs=(options.codec or DEFAULT_CODEC,),
        out=out,
        backbone=options.backbone,
        taps=options.taps,
        edge_backbone=options.edge_backbone,
        edge_taps=options.edge_taps,
        detector=options.detector,
        parameters=options.parameters,
        input_size=options.input_size,
        target_false_reject_rate=options.false_reject_rate,
        uplink_bytes_per_second=options.uplink_bytes_per_second or Request.uplink_bytes_per_second,
        seed=options.seed,
        threads=options.backbone_threads,
    )
    return commission_for(request, stations, on_phase=on_phase, signer=signer)


def described(artifact: Artifact) -> dict[str, Any]:
    """What an artifact's verdicts rest on, for the report's configuration."""
    header = artifact.header
    calibration = header.calibration
    return {
        "codec": header.codec,
        "input_size": list(header.input_size),
        "backbone": header.backbone.name,
        "taps": list(header.backbone.taps),
        "detector": header.detector,
        "parameters": dict(header.parameters),
        "threshold": calibration.threshold,
        "target_false_reject_rate": calibration.target_false_reject_rate,
        "false_reject_bound": calibration.bound,
        "normal_pictures": calibration.images,
        "artifact": artifact.fingerprint,
        "artifact_bytes": artifact.size_bytes,
    }


def _configuration(options: ReplayOptions, category: str, artifact: Artifact, *, signed: bool) -> dict[str, Any]:
    return {
        "category": category,
        "stations": options.stations,
        "takt_seconds": options.takt_seconds,
        **described(artifact),
        "backbone_threads": options.backbone_threads,
        "maps": options.maps,
        "deadline_seconds": options.deadline_seconds,
        "edge_slowdown": options.edge_slowdown,
        "signed": signed,
        "kills": [f"{kill.victim} at {kill.at_seconds:g} s" for kill in options.kills],
    }
