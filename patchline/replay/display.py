"""The state of a running line, as a table on the terminal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from patchline.replay.watcher import Tally
from patchline.wire.messages import Verdict

_STYLES = {"normal": "green", "anomalous": "red", "uncalibrated": "yellow", "unreadable": "magenta"}
_LAST = 6


@dataclass(frozen=True, kw_only=True)
class StationView:
    """One station.

    Attributes:
        planned: Parts it will produce in all.
        produced: Triggers that have fired.
        waiting: Inspections in its outbox.
        tally: What the watcher has seen of it.
        p95_seconds: 95th percentile of capture to verdict, from the station's own histogram.
    """

    planned: int
    produced: int
    waiting: int
    tally: Tally
    p95_seconds: float | None


@dataclass(frozen=True, kw_only=True)
class View:
    """The whole line.

    Attributes:
        seconds: Since the stations were started.
        last: The latest verdicts, newest first.
        news: What has happened to the line itself, such as a kill.
    """

    seconds: float
    stations: Mapping[str, StationView]
    last: Sequence[Verdict]
    news: Sequence[str]


def draw(view: View) -> RenderableType:
    """The stations, the latest verdicts and what happened to the line, at one moment."""
    parts: list[RenderableType] = [_stations(view)]
    if view.last:
        parts.append(_verdicts(view.last[:_LAST]))
    if view.news:
        parts.append(Text(" · ".join(view.news), style="yellow"))
    return Group(*parts)


def _stations(view: View) -> Table:
    table = Table(title=f"The line after {view.seconds:.0f} s", title_justify="left", expand=False)
    table.add_column("station")
    for heading in ("produced", "judged", "normal", "anomalous", "reject rate", "p95 latency", "waiting"):
        table.add_column(heading, justify="right")
    for name, station in view.stations.items():
        table.add_row(name, *_row(station))
    return table


def _row(station: StationView) -> tuple[Any, ...]:
    outcomes, judged = station.tally.outcomes, station.tally.judged
    anomalous = outcomes.get("anomalous", 0)
    return (
        f"{station.produced} of {station.planned}",
        str(judged),
        Text(str(outcomes.get("normal", 0)), style="green"),
        Text(str(anomalous), style="red" if anomalous else ""),
        f"{anomalous / judged:.0%}" if judged else "-",
        "-" if station.p95_seconds is None else f"{station.p95_seconds * 1000:.0f} ms",
        Text(str(station.waiting), style="yellow" if station.waiting > 1 else ""),
    )


def _verdicts(verdicts: Any) -> Table:
    table = Table(title="Latest verdicts", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for heading in ("part", "station", "verdict", "score", "threshold"):
        table.add_column(heading, justify="right" if heading in {"score", "threshold"} else "left", style="")
    for verdict in verdicts:
        table.add_row(*_verdict_row(verdict))
    return table


def _verdict_row(verdict: Verdict) -> tuple[Any, ...]:
    return (
        verdict.part_id,
        verdict.station,
        Text(verdict.outcome, style=_STYLES.get(verdict.outcome, "")),
        "-" if verdict.score is None else f"{verdict.score:.3f}",
        "-" if verdict.threshold is None else f"{verdict.threshold:.3f}",
    )
