"""Counts continuously and cheaply how many parts of each station are missing."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from analytics_service.audit.changes import Limits, limits_of, touched
from analytics_service.audit.reconciliation import Gap, gaps_of
from analytics_service.records.records import Records
from patchline.mqtt.delivery import Delivery
from patchline.runtime.loops import run_loop
from patchline.runtime.watchdog import Watchdog
from patchline.wire.errors import UnreadableError, missing_extra
from patchline.wire.messages import EdgeStatus, from_json
from patchline.wire.topics import SERVICE_LINE, Topics

try:
    import sqlalchemy as sql
except ModuleNotFoundError as missing:  # pragma: no cover - the base install has no analytics
    raise missing_extra("sqlalchemy", "analytics") from missing

INTERVAL_SECONDS = 15.0
GAPS_AT_ONCE = 200
"""Known gaps that are looked at again in one look."""


class Shown(Protocol):
    """Where the figure goes."""

    def show_unaccounted(self, station: str, parts: int) -> None:
        """So many parts of a station are missing."""


@dataclass(slots=True)
class _Audited:
    """What has been looked at of one station: the numbers between two, without the gaps."""

    lowest: int
    highest: int
    gaps: list[Gap] = field(default_factory=list)


class Auditor:
    """Follows the records; one thread runs `run`, any may call `on_status`.

    The first look at a station reads all its numbers; later looks read the new ones and the gaps that are known.

    Args:
        records: The service's.
        topics: The topic tree.
        shown: Told the figure of every station.
        grace_seconds: How old a gap must be to count: a part may be on its way, or judged after its successors.
        stations: Those that are served: names that anybody sends do not become series. All by default.
        wall: Seconds since the epoch.
    """

    def __init__(
        self,
        records: Records,
        *,
        topics: Topics,
        shown: Shown,
        grace_seconds: float,
        stations: Callable[[], Collection[str]] | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._records, self._topics, self._shown = records, topics, shown
        self._grace_seconds, self._stations, self._wall = grace_seconds, stations, wall
        self._audited: dict[str, _Audited] = {}
        self._waiting: dict[str, int] = {}
        self._turn = 0

    def on_status(self, delivery: Delivery) -> None:
        """Note how many parts an edge node still holds; a last will, which cannot know, leaves the figure alone."""
        try:
            station, _ = self._topics.parse(delivery.topic)
            if station.line == SERVICE_LINE or not delivery.payload:
                return
            status: EdgeStatus = from_json(delivery.payload, EdgeStatus)
        except UnreadableError:
            return
        if self._is_served(str(station)) and (status.online or status.version):
            self._waiting[str(station)] = status.outbox_rows

    def run(self, stopped: threading.Event, watchdog: Watchdog, *, interval_seconds: float = INTERVAL_SECONDS) -> None:
        """Look at once and then at every interval, until stopped."""
        run_loop("auditor", self.look, stopped, watchdog=watchdog, every_seconds=interval_seconds)

    def look(self) -> dict[str, int]:
        """Read what is new; the parts missing by station, less those its edge node still holds.

        Raises:
            UnavailableError: The database is away.
        """
        now = self._wall()
        with self._records.reading() as connection:
            limits = [each for each in limits_of(connection) if self._is_served(each.station)]
            known = self._again(connection, {each.station: each.forgotten for each in limits})
            for each in limits:
                found = [*known.get(each.station, []), *self._new(connection, each)]
                # A worker's clock that ran ahead must not hide a gap until ours has caught up with it.
                gaps = [replace(gap, since=min(gap.since, now)) for gap in found]
                self._audited[each.station] = _Audited(each.lowest, each.highest, gaps)
        missing = {each.station: self._missing(each.station, now - self._grace_seconds) for each in limits}
        for station, parts in missing.items():
            self._shown.show_unaccounted(station, parts)
        return missing

    def _is_served(self, station: str) -> bool:
        return self._stations is None or station in self._stations()

    def _missing(self, station: str, before: float) -> int:
        parts = sum(gap.parts for gap in self._audited[station].gaps if gap.since < before)
        return max(0, parts - self._waiting.get(station, 0))

    def _new(self, connection: sql.Connection, limits: Limits) -> list[Gap]:
        """The gaps among the numbers that have not been looked at."""
        station, above, audited = limits.station, limits.forgotten, self._audited.get(limits.station)
        if audited is None:
            return gaps_of(connection, station, above=above)
        found = []
        if limits.highest > audited.highest:
            found += gaps_of(connection, station, above=above, low=audited.highest)
        if limits.lowest < audited.lowest:
            found += gaps_of(connection, station, above=above, low=limits.lowest, high=audited.lowest)
        return found

    def _again(self, connection: sql.Connection, marks: Mapping[str, int]) -> dict[str, list[Gap]]:
        """What is left of the known gaps; of many, some are looked at now and the others later."""
        known = [(station, gap) for station, audited in self._audited.items() for gap in audited.gaps]
        turn, self._turn = self._turn % max(1, len(known)), self._turn + GAPS_AT_ONCE
        asked = (known[turn:] + known[:turn])[:GAPS_AT_ONCE]
        changed = {asked[place] for place in touched(connection, asked)}
        left: dict[str, list[Gap]] = defaultdict(list)
        for station, gap in known:
            above, rest = marks.get(station, 0), [gap]
            if (station, gap) in changed:
                rest = gaps_of(connection, station, above=above, low=gap.first - 1, high=gap.last + 1)
            left[station] += [
                replace(each, first=max(each.first, above + 1), since=min(each.since, gap.since))
                for each in rest
                if each.last > above
            ]
        return left
