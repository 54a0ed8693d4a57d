"""Thousands of frames wait in an outbox: how fast do they drain, and do live parts still get their verdicts in time?

A real line: broker, service with a commissioned detector, one station. First live parts alone (the quiet line). Then
the station boots on an outbox with frames of an earlier boot, and captures at the same takt while they drain. Latencies
are the station's own, capture to verdict on one monotonic clock. Its bias: all of it shares one machine.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from edge_node.outbox.journal import JournalLine, read_books
from patchline.bench.service_process import service_of
from patchline.bench.stamp import stamp
from patchline.bench.standalone import run
from patchline.commissioning.commission import Request, commission
from patchline.pictures.files import read_category
from patchline.replay.broker import Broker, broker_version
from patchline.replay.phases import phases
from patchline.replay.program_records import recorded_verdicts
from tests.rigs.backlog.line import CODEC, EARLIER_BOOT, STATION, BacklogLine, settings_of

_PLAN_PARTS = 20_000
_TIMES_QUIET = 2.0


@dataclass(frozen=True, kw_only=True)
class Drained:
    """What was measured.

    Attributes:
        waiting: Frames that waited at the boot.
        drain_seconds: From the boot until the last of them had its verdict.
        quiet_seconds, draining_seconds: Latency of live parts before, and of those captured while frames drained, at
            the percentiles 50 and 95.
        live_parts: How many those last ones are.
        lost: Parts, waiting or live, that the service has no record of.
        within: Whether live parts kept their p95 within twice the quiet one.
    """

    waiting: int
    drain_seconds: float
    frames_per_second: float
    quiet_seconds: dict[str, float]
    draining_seconds: dict[str, float]
    quiet_parts: int
    live_parts: int
    lost: int
    within: bool


def measure(line: BacklogLine, *, waiting: int, quiet_parts: int, on_phase: Callable[[str, int, int], None]) -> Drained:
    """Run the quiet line, fill the outbox, and let it drain beside live parts.

    Args:
        line: Broker and service are up.
        waiting: Frames of an earlier boot.
        quiet_parts: Live parts of the quiet line.
        on_phase: Told of the progress.
    """
    line.run_station(
        "quiet",
        quiet_parts,
        until=lambda: len(line.closed("quiet")) >= quiet_parts,
        on_tick=lambda: on_phase("quiet line", len(line.closed("quiet")), quiet_parts),
    )
    quiet = line.closed("quiet")
    names = line.fill("draining", waiting, on_phase)
    began = time.time()

    def left() -> int:
        return sum(number <= waiting for number in read_books(line.outbox("draining")).waiting)

    line.run_station(
        "draining", _PLAN_PARTS, until=lambda: not left(), on_tick=lambda: on_phase("drain", waiting - left(), waiting)
    )
    finished = time.time()
    lines = line.closed("draining")
    live = [each for each in lines if each.boot_id != EARLIER_BOOT and began < each.captured_at < finished]
    produced = [*names, *(each.inspection_id for each in (*quiet, *live))]
    recorded = {sighting.receipt.inspection_id for sighting in recorded_verdicts(line.records_url, produced)}
    before, during = _latency(quiet), _latency(live)
    return Drained(
        waiting=waiting,
        drain_seconds=finished - began,
        frames_per_second=waiting / (finished - began),
        quiet_seconds=before,
        draining_seconds=during,
        quiet_parts=len(quiet),
        live_parts=len(live),
        lost=len(set(produced) - recorded),
        within=during["p95"] <= _TIMES_QUIET * before["p95"],
    )


def _latency(lines: Sequence[JournalLine]) -> dict[str, float]:
    seconds = [line.latency_seconds for line in lines if line.latency_seconds is not None]
    return {"p50": float(np.percentile(seconds, 50)), "p95": float(np.percentile(seconds, 95))}


def shown(drained: Drained) -> Table:
    """The figures for the terminal."""
    table = Table(title=f"{drained.waiting} frames drain beside live parts", title_justify="left")
    for heading in ("drained in s", "frames/s", "quiet p50 / p95 ms", "draining p50 / p95 ms", "p95 ratio", "lost"):
        table.add_column(heading, justify="right")
    quiet, draining = drained.quiet_seconds, drained.draining_seconds
    table.add_row(
        f"{drained.drain_seconds:.1f}",
        f"{drained.frames_per_second:.1f}",
        f"{1e3 * quiet['p50']:.0f} / {1e3 * quiet['p95']:.0f}",
        f"{1e3 * draining['p50']:.0f} / {1e3 * draining['p95']:.0f}",
        f"{draining['p95'] / quiet['p95']:.2f}",
        str(drained.lost),
    )
    return table


def command(
    *,
    data: Annotated[Path, typer.Option("--data", help="Folder of a category in MVTec's layout.")],
    frames: Annotated[int, typer.Option("--frames", min=1, help="That wait in the outbox.")] = 5000,
    quiet: Annotated[int, typer.Option("--quiet", min=20, help="Live parts of the quiet line.")] = 60,
    takt: Annotated[float, typer.Option("--takt", min=0.05, help="Seconds from one live part to the next.")] = 0.5,
    input_size: Annotated[int, typer.Option("--input-size", min=32, help="Height and width of the pictures.")] = 224,
    backbone: Annotated[str, typer.Option("--backbone", help="The packaged one unless given.")] = "",
    json: Annotated[Path | None, typer.Option("--json", help="Also write the figures to this file.")] = None,
) -> None:
    """Let a backlog drain beside live parts, and read latencies and books.

    [bold]Example[/bold]

        python -m tests.rigs.backlog.backlog --data pictures/bottle --json backlog.json
    """
    console = Console()
    category = read_category(data)
    with tempfile.TemporaryDirectory(prefix="patchline-backlog-") as name, phases(console) as on_phase:
        folder = Path(name)
        request = Request(
            data=data,
            station=STATION,
            codecs=(CODEC,),
            out=folder / "artifacts",
            backbone=backbone,
            input_size=(input_size, input_size),
        )
        made = commission(request, on_progress=on_phase)
        with Broker(folder / "broker", kind="mosquitto") as broker, service_of(folder, settings_of(folder, broker)):
            line = BacklogLine(folder, category, made.profile, broker, takt)
            drained = measure(line, waiting=frames, quiet_parts=quiet, on_phase=on_phase)
    console.print(shown(drained))
    if json is not None:
        facts: dict[str, Any] = {**asdict(stamp(seed=0, broker=broker_version("mosquitto"))), "category": category.name}
        facts |= {
            "codec": CODEC,
            "takt_seconds": takt,
            "input_size": input_size,
            "backbone": made.commissioned_codecs[0].artifact.header.backbone.name,
        }
        json.write_bytes(msgspec.json.format(msgspec.json.encode({**facts, **asdict(drained)})) + b"\n")
    raise typer.Exit(0 if drained.within and not drained.lost else 1)


if __name__ == "__main__":
    run(command)
