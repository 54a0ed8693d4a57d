"""How many parts a second a line sustains on this machine, and how late verdicts are at half that rate.

Its bias: everything runs on one machine, so the stations take their share of the processors from the service, and the
link is the loopback. A rate counts as sustained when every part has its verdict, no verdict is later than the gate's
deadline, and the line keeps up with the belt.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from patchline.bench.stamp import stamp
from patchline.replay.line import Line
from patchline.replay.phases import phases
from patchline.replay.replay import ReplayOptions, prepare
from patchline.replay.results import reconcile
from patchline.replay.stages import Distribution, distribution_of
from patchline.replay.summary import late, latencies, parts_per_second

KEEPS_UP = 0.95
"""Share of the belt's rate that counts as keeping up; the rest is the first part's start and the last one's end."""
PRECISION = 1.12
"""The search ends when the rates sustained and not sustained lie within this ratio."""
FIRST_RATE = 4.0
HIGHEST_RATE = 512.0


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A line at one rate.

    Attributes:
        offered: Parts a second the stations produce together.
        parts_per_second: Judged parts over the time from the first capture to the last verdict.
        late: Parts whose gate had to act without a verdict.
    """

    offered: float
    parts: int
    parts_per_second: float
    latency_seconds: Distribution
    payload_bytes: float
    wire_bytes: float
    late: int
    sustained: bool


def find_sustained(probe: Callable[[float], Probe]) -> list[Probe]:
    """Double the rate until the line falls behind, then close in; returns every probe in the order made."""
    made: list[Probe] = []
    good, bad, rate = 0.0, float("inf"), FIRST_RATE
    while bad / max(good, 1e-9) > PRECISION and rate <= HIGHEST_RATE:
        made.append(probe(rate))
        if made[-1].sustained:
            good = rate
        else:
            bad = rate
        rate = rate / 2 if good == 0 else good * 2 if bad == float("inf") else (good * bad) ** 0.5
        if good == 0 and rate < FIRST_RATE / 8:
            break
    return made


def probe_line(options: ReplayOptions, offered: float, *, seconds: float) -> Probe:
    """Run a line at a rate for a while.

    Args:
        options: The line, with an artifact.
        offered: Parts a second of all stations together.
        seconds: How long the belt runs.

    Raises:
        UnavailableError: A program of the line died.
    """
    takt = options.stations / offered
    parts = max(options.stations * 2, round(offered * seconds))
    with tempfile.TemporaryDirectory(prefix="patchline-throughput-") as folder:
        told = replace(options, report=Path(folder) / "run", takt_seconds=takt, limit=parts, maps="anomalous")
        scenario = prepare(told, on_phase=_silently)
        seen = Line(scenario, on_view=None).run()
        account, faults = reconcile(scenario, seen)
    lines = [line for journal in seen.journals.values() for line in journal]
    rate = parts_per_second(account.fates) or 0.0
    waited = distribution_of(latencies(lines)) or Distribution(mean=0.0, p50=0.0, p95=0.0, p99=0.0)
    missed = late(lines)
    return Probe(
        offered=offered,
        parts=parts,
        parts_per_second=rate,
        latency_seconds=waited,
        payload_bytes=sum(line.payload_bytes for line in lines) / max(1, len(lines)),
        wire_bytes=sum(line.wire_bytes for line in lines) / max(1, len(lines)),
        late=missed,
        sustained=not faults and missed == 0 and rate >= KEEPS_UP * offered,
    )


def _silently(*_news: object) -> None:
    """A probe shows nothing of its inner life."""


def command(
    data: Annotated[
        Path, typer.Option("--data", help="A category's folder in MVTec's layout, with test/.", show_default=False)
    ],
    *,
    json: Annotated[Path | None, typer.Option("--json", help="Also write the figures to this file.")] = None,
    stations: Annotated[int, typer.Option("--stations", min=1, max=64, help="Stations of the line.")] = 4,
    codec: Annotated[str, typer.Option("--codec", help="What the stations encode with.")] = "webp:80",
    backbone: Annotated[str, typer.Option("--backbone", help="By default the packaged one, else mobilenet_v2.")] = "",
    detector: Annotated[str, typer.Option("--detector", help="Detector.")] = "patchcore",
    backbone_threads: Annotated[int, typer.Option("--backbone-threads", min=1, help="CPU threads of the service.")] = 1,
    seconds: Annotated[float, typer.Option("--seconds", min=2, help="How long each rate is tried.")] = 15.0,
    seed: Annotated[int, typer.Option("--seed", help="Of the parts' order.")] = 0,
) -> None:
    r"""Find the rate a line sustains on this machine, and the latency at half that rate.

    [bold]Example[/bold]

        patchline bench throughput --data pictures/bottle --stations 4 \
            --json throughput.json
    """
    console = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="patchline-throughput-") as folder:
        options = ReplayOptions(
            data=data,
            report=Path(folder) / "commissioned",
            stations=stations,
            codec=codec,
            backbone=backbone,
            detector=detector,
            backbone_threads=backbone_threads,
            seed=seed,
        )
        with phases(console) as on_phase:
            scenario = prepare(options, on_phase=on_phase)
        options = replace(options, artifact=scenario.artifacts)

        def probe(offered: float) -> Probe:
            with console.status(f"{offered:.1f} parts a second"):
                return probe_line(options, offered, seconds=seconds)

        probes = find_sustained(probe)
        sustained = max((made for made in probes if made.sustained), key=lambda made: made.offered, default=None)
        half = None if sustained is None else probe(sustained.offered / 2)
    _tell(probes, sustained, half)
    if json is not None:
        json.write_bytes(_as_json(scenario.configuration, stations, [*probes, *([half] if half else [])], seed=seed))


def _tell(probes: list[Probe], sustained: Probe | None, half: Probe | None) -> None:
    console = Console()
    table = Table(title="Throughput of the line", title_justify="left")
    for heading in ("offered parts/s", "judged parts/s", "p50 ms", "p95 ms", "p99 ms", "late", "sustained"):
        table.add_column(heading, justify="right")
    for probe in sorted([*probes, *([half] if half else [])], key=lambda probe: probe.offered):
        waited = probe.latency_seconds
        quantiles = [f"{seconds * 1000:.0f}" for seconds in (waited.p50, waited.p95, waited.p99)]
        rates = f"{probe.offered:.2f}", f"{probe.parts_per_second:.2f}"
        table.add_row(*rates, *quantiles, str(probe.late), "yes" if probe.sustained else "no")
    console.print(table)
    if sustained is None or half is None:
        console.print("the line sustains none of these rates")
        return
    console.print(
        f"sustained: {sustained.parts_per_second:.1f} parts a second; at half that rate, "
        f"{half.latency_seconds.p95 * 1000:.0f} ms from capture to verdict at the 95th percentile",
        highlight=False,
    )


def _as_json(configuration: Any, stations: int, probes: list[Probe], *, seed: int) -> bytes:
    shared = {key: configuration[key] for key in ("category", "codec", "backbone", "detector")}
    rows = [{**shared, "stations": stations, **msgspec.to_builtins(probe)} for probe in probes]
    content = {"rows": rows, "paper": {}, "configuration": dict(configuration), **msgspec.to_builtins(stamp(seed=seed))}
    return msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n"
