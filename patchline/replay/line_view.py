"""The line at one moment, as a person at the terminal sees it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from patchline.replay.watcher import Tally
from patchline.wire.messages import Verdict


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
