"""A scenario on a real line: broker, service and a station as processes, a thin uplink and a slow edge between them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_node.outbox.journal import JournalLine
from edge_node.outbox.rows import traceparent_of
from patchline.mqtt.packets import publication
from patchline.mqtt.settings import LinkSettings
from patchline.replay.constraints import By
from patchline.replay.line import Line
from patchline.replay.replay import ReplayOptions, prepare
from patchline.replay.results import reconcile
from patchline.replay.stages import TRANSMISSION, UPLINK, WHOLE, Distribution, distribution_of
from patchline.wire.messages import CONTENT_TYPE_FRAME
from patchline.wire.topics import Station, Topics

DEADLINE_SECONDS = 60.0
"""Later than the slowest scenario's verdict: a part whose gate has acted becomes backlog, which is sent otherwise."""
FEWEST_PARTS = 10
LONGEST_SECONDS = 30.0
"""A scenario whose parts take long is played with fewer of them."""
_SHORTEST_TAKT_SECONDS = 0.4
_HEADROOM = 1.5
_ENVELOPE_BYTES = 700

EDGE_STAGES = ("capture", "resize", "backbone", "encode", "keep")
STAGES = {"decode_seconds": "decode", "search_seconds": "search", "map_seconds": "render"}
"""Figure -> the service's stage it is."""


@dataclass(frozen=True, kw_only=True)
class Terms:
    """Under which all scenarios are played.

    Attributes:
        parts: Most parts of a scenario.
    """

    data: Path
    uplink_bytes_per_second: float
    edge_slowdown: float
    constrained_by: By
    parts: int
    seed: int


@dataclass(frozen=True, kw_only=True)
class Played:
    """What a scenario took on the line.

    Attributes:
        seconds: Figure -> its distribution over the parts; `total_seconds` is capture to verdict on the edge's clock.
        wire_bytes: PUBLISH packets: headers, properties, envelope and payload.
        repeated: Messages that were sent more than once.
        faults: Why the run proves nothing; empty when every part has its one verdict.
        constraints: How thin line and slow edge were played.
        broker: Name and version.
    """

    parts: int
    takt_seconds: float
    seconds: dict[str, Distribution]
    payload_bytes: Distribution | None
    wire_bytes: Distribution | None
    repeated: int
    faults: list[str]
    constraints: Mapping[str, Any]
    broker: str


def takt_for(payload_bytes: float, edge_seconds: float, service_seconds: float, terms: Terms) -> tuple[float, int]:
    """Seconds between parts so that none waits for the one before it, and how many parts are played."""
    on_the_wire = (payload_bytes + _ENVELOPE_BYTES) / terms.uplink_bytes_per_second
    whole = on_the_wire + edge_seconds * terms.edge_slowdown + service_seconds
    takt = max(_SHORTEST_TAKT_SECONDS, _HEADROOM * whole)
    return takt, min(terms.parts, max(FEWEST_PARTS, int(LONGEST_SECONDS / takt)))


def play(codec: str, artifacts: Path, folder: Path, terms: Terms, *, takt_seconds: float, parts: int) -> Played:
    """Play parts through a line of one station, and gather what it wrote down about them.

    Args:
        codec: Which of the artifacts to judge with.
        artifacts: A folder that commissioning wrote.
        folder: New; for everything of the run.
        terms: Of all scenarios.
        takt_seconds: From part to part.
        parts: How many.

    Raises:
        UnavailableError: A program of the line died.
        MisconfiguredError: There is no broker, or the line cannot be held back so.
    """
    options = ReplayOptions(
        data=terms.data,
        report=folder,
        stations=1,
        takt_seconds=takt_seconds,
        codec=codec,
        seed=terms.seed,
        artifact=artifacts,
        limit=parts,
        maps="none",
        deadline_seconds=DEADLINE_SECONDS,
        edge_slowdown=terms.edge_slowdown,
        uplink_bytes_per_second=terms.uplink_bytes_per_second,
        constrained_by=terms.constrained_by,
    )
    scenario = prepare(options, on_phase=_silently)
    seen = Line(scenario, on_view=None).run()
    _, faults = reconcile(scenario, seen)
    lines = [line for line in next(iter(seen.journals.values())) if line.outcome != "dropped"]
    station = Station.parse(scenario.stations[0].station)
    return Played(
        parts=len(lines),
        takt_seconds=takt_seconds,
        seconds=seconds_of(lines),
        payload_bytes=distribution_of(line.payload_bytes for line in lines),
        wire_bytes=distribution_of(packet_bytes(line, station) for line in lines),
        repeated=sum(line.sends > 1 for line in lines),
        faults=faults,
        constraints=seen.constraints,
        broker=seen.broker,
    )


def packet_bytes(line: JournalLine, station: Station) -> int:
    """What the PUBLISH packet of a part took: its header, topic, properties and the whole message."""
    return publication(
        LinkSettings(client_id="weighed"),
        Topics().of(station, "frame"),
        bytes(line.wire_bytes),
        qos=1,
        retain=False,
        content_type=CONTENT_TYPE_FRAME,
        correlation=line.inspection_id.encode(),
        user=(("traceparent", traceparent_of(line.inspection_id)),),
    ).packet_bytes


def seconds_of(lines: Iterable[JournalLine]) -> dict[str, Distribution]:
    """Figure -> its distribution over the parts of a run; figures of steps that were not taken are left out."""
    gathered: dict[str, list[float]] = {}
    for line in lines:
        stages = line.stages
        found = {
            "edge_seconds": sum(stages.get(stage, 0.0) for stage in EDGE_STAGES),
            "encode_seconds": stages.get("encode"),
            "backbone_seconds": stages.get("backbone", stages.get("embed")),
            "transmission_seconds": stages.get(TRANSMISSION),
            "uplink_seconds": stages.get(UPLINK),
            "server_seconds": stages.get(WHOLE),
            "total_seconds": line.latency_seconds,
            **{figure: stages.get(stage) for figure, stage in STAGES.items()},
        }
        for figure, seconds in found.items():
            if seconds is not None:
                gathered.setdefault(figure, []).append(seconds)
    spreads = {figure: distribution_of(values) for figure, values in gathered.items()}
    return {figure: spread for figure, spread in spreads.items() if spread is not None}


def _silently(*_news: object) -> None:
    """The benchmark has a bar of its own."""
