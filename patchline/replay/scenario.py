"""What a simulated line does: stations, parts, limits, and the programs that are killed."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol, Self

from patchline.replay.constraints import By
from patchline.replay.ledger import Entry
from patchline.wire.errors import MisconfiguredError

Victim = Literal["analytics", "broker"]
MapPolicy = Literal["anomalous", "all", "none"]

_KILL = re.compile(r"(analytics|broker)@(\d+(?:\.\d+)?)")


@dataclass(frozen=True, kw_only=True)
class Kill:
    """A program that is ended by SIGKILL in the middle of a run, and started again.

    Attributes:
        at_seconds: After the stations were started.
        down_seconds: Until it is started again.
    """

    victim: Victim
    at_seconds: float
    down_seconds: float = 1.0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `analytics@10` or `broker@2.5`.

        Raises:
            MisconfiguredError: The text is neither.
        """
        found = _KILL.fullmatch(text)
        if found is None:
            raise MisconfiguredError(
                f"{text!r} is not a kill", where="--kill", remedy="write analytics@SECONDS or broker@SECONDS"
            )
        victim: Victim = "analytics" if found[1] == "analytics" else "broker"
        return cls(victim=victim, at_seconds=float(found[2]))


@dataclass(frozen=True, kw_only=True)
class StationPlan:
    """One station of a simulated line.

    Attributes:
        station: `site/line/station`.
        source: The `source` table of its edge node's settings; a plan file of its own is added by the run.
        entries: What it will produce, in order.
    """

    station: str
    entries: tuple[Entry, ...]
    source: Mapping[str, Any] = field(default_factory=dict)

    @property
    def slug(self) -> str:
        """The station's name as a file name."""
        return self.station.replace("/", "-")


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A run of a simulated line.

    Attributes:
        title: What runs, in a few words.
        note: What a reader of the report must know about the parts.
        directory: Where everything of the run is written.
        artifacts: The folder commission wrote, with a profile for every station.
        takt_seconds: From one part of a station to its next.
        kills: What is to go wrong.
        maps: Whose anomaly maps the service publishes.
        backbone_threads: CPU threads of the service's backbones.
        edge_slowdown: How many times slower than one core of this machine each station is.
        uplink_bytes_per_second: What each station can send to the broker; as much as it likes where None.
        constrained_by: Who holds the stations back so.
        deadline_seconds: After how long a station's gate acts without a verdict.
        grace_seconds: How long the line may take beyond its own takt before it is given up.
        drops_allowed: Whether the scenario makes parts drop.
        verify_key: The file of the key that service and stations ask a signature of; None where they take anything.
        configuration: What the report shows as the run's configuration.
    """

    title: str
    directory: Path
    stations: tuple[StationPlan, ...]
    artifacts: Path
    takt_seconds: float
    kills: tuple[Kill, ...] = ()
    maps: MapPolicy = "all"
    backbone_threads: int = 1
    edge_slowdown: float = 1.0
    uplink_bytes_per_second: float | None = None
    constrained_by: By = "auto"
    deadline_seconds: float = 2.0
    grace_seconds: float = 120.0
    drops_allowed: bool = False
    verify_key: Path | None = None
    configuration: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""

    @property
    def entries(self) -> list[Entry]:
        """The whole truth ledger, station by station."""
        return [entry for plan in self.stations for entry in plan.entries]

    @property
    def time_limit_seconds(self) -> float:
        """How long the stations may take in all."""
        longest = max(len(plan.entries) for plan in self.stations)
        return longest * self.takt_seconds * 1.5 + self.grace_seconds


class Restartable(Protocol):
    """A program that can be killed and started again."""

    def kill(self) -> None:
        """End it with SIGKILL."""
        ...

    def start(self) -> None:
        """Start it, again if it was killed."""
        ...


class Timetable:
    """The kills of a scenario, each followed by a new start.

    Args:
        kills: What is killed, and when.
        programs: The programs by name.

    Attributes:
        news: What was done so far, one sentence each.
    """

    def __init__(self, kills: Sequence[Kill], programs: dict[Victim, Restartable]) -> None:
        self.news: list[str] = []
        moments: list[tuple[float, Callable[[], None]]] = []
        for kill in kills:
            program = programs[kill.victim]
            up_again = kill.at_seconds + kill.down_seconds
            killed = f"{kill.victim} killed at {kill.at_seconds:g} s"
            moments.append((kill.at_seconds, partial(self._do, program.kill, killed)))
            moments.append((up_again, partial(self._do, program.start, f"{kill.victim} back at {up_again:g} s")))
        self._moments = sorted(moments, key=lambda moment: moment[0])

    @property
    def over(self) -> bool:
        """Whether all kills and starts are done."""
        return not self._moments

    def advance(self, seconds: float) -> None:
        """Do everything that is due so many seconds after the start of the run."""
        while self._moments and self._moments[0][0] <= seconds:
            self._moments.pop(0)[1]()

    def _do(self, action: Callable[[], None], sentence: str) -> None:
        action()
        self.news.append(sentence)
