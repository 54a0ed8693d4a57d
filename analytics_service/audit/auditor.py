"""Counts continuously and cheaply how many parts of each station are missing."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from analytics_service.audit.reconciliation import Gap, forgotten, gaps_of, limits_of, stations_of
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
GAPS_AT_ONCE = 100
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
        wall: Seconds since the epoch.
    """

    def __init__(
        self,
        records: Records,
        *,
        topics: Topics,
        shown: Shown,
        grace_seconds: float,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._records, self._topics, self._shown = records, topics, shown
        self._grace_seconds, self._wall = grace_seconds, wall
        self._audited: dict[str, _Audited] = {}
        self._waiting: dict[str, int] = {}

    def on_status(self, delivery: Delivery) -> None:
        """Note how many parts an edge node still holds; a last will, which cannot know, leaves the figure alone."""
        try:
            station, _ = self._topics.parse(delivery.topic)
            if station.line == SERVICE_LINE or not delivery.payload:
                return
            status: EdgeStatus = from_json(delivery.payload, EdgeStatus)
        except UnreadableError:
            return
        if status.online or status.version:
            self._waiting[str(station)] = status.outbox_rows

    def run(self, stopped: threading.Event, watchdog: Watchdog, *, interval_seconds: float = INTERVAL_SECONDS) -> None:
        """Look at once and then at every interval, until told to stop."""
        run_loop("auditor", self.look, stopped, watchdog=watchdog, every_seconds=interval_seconds)

    def look(self) -> dict[str, int]:
        """Read what is new; the parts missing by station, less those its edge node still holds.

        Raises:
            UnavailableError: The database is away.
        """
        now = self._wall()
        with self._records.reading() as connection:
            missing = {station: self._missing(connection, station, now) for station in stations_of(connection)}
        for station, parts in missing.items():
            self._shown.show_unaccounted(station, parts)
        return missing

    def _missing(self, connection: sql.Connection, station: str, now: float) -> int:
        above = forgotten(connection, station)
        lowest, highest = limits_of(connection, station)
        audited = self._audited.get(station)
        if audited is None:
            found = gaps_of(connection, station, above=above)
        else:
            found = self._again(connection, station, audited, above)
            found += gaps_of(connection, station, above=above, low=audited.highest)
            if lowest < audited.lowest:
                found += gaps_of(connection, station, above=above, low=lowest, high=audited.lowest)
        # A worker's clock that ran ahead must not hide a gap until ours has caught up with it.
        gaps = [replace(gap, since=min(gap.since, now)) for gap in found]
        self._audited[station] = _Audited(lowest, highest, gaps)
        parts = sum(gap.parts for gap in gaps if gap.since < now - self._grace_seconds)
        return max(0, parts - self._waiting.get(station, 0))

    def _again(self, connection: sql.Connection, station: str, audited: _Audited, above: int) -> list[Gap]:
        """What is left of the known gaps; of many, some are looked at now and the others later."""
        rest = []
        for gap in audited.gaps[:GAPS_AT_ONCE]:
            left = gaps_of(connection, station, above=above, low=gap.first - 1, high=gap.last + 1)
            rest += [replace(each, since=min(each.since, gap.since)) for each in left]
        return [*audited.gaps[GAPS_AT_ONCE:], *rest]
