"""The books kept open: how many parts of each station are missing, all the time and cheaply."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Protocol

from analytics_service.audit.number_line import NumberLine
from analytics_service.audit.reconciliation import decided_between, decided_since, forgotten
from analytics_service.records.records import Records
from patchline.mqtt.delivery import Delivery
from patchline.runtime.loops import run_loop
from patchline.runtime.watchdog import Watchdog
from patchline.wire.errors import UnreadableError
from patchline.wire.messages import EdgeStatus, from_json
from patchline.wire.topics import SERVICE_LINE, Topics

INTERVAL_SECONDS = 15.0
_OVERLAP_SECONDS = 60.0
"""A decision is stamped before it is recorded; what was recorded late is found by the second look at a gap."""
_GAPS_AT_ONCE = 100


class Shown(Protocol):
    """Where the figure goes."""

    def show_unaccounted(self, station: str, parts: int) -> None:
        """So many parts of a station are missing."""


class Auditor:
    """Follows the records; one thread runs `run`, any may call `on_status`.

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
        self._lines: dict[str, NumberLine] = defaultdict(NumberLine)
        self._waiting: dict[str, int] = {}
        self._seen_until = 0.0

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
        newest = min(self._seen_until, now)
        for station, number, at in decided_since(self._records, newest - _OVERLAP_SECONDS):
            # A worker's clock that ran ahead must not hide what is decided until ours has caught up with it.
            self._lines[station].add(number, min(at, now))
            newest = max(newest, min(at, now))
        self._seen_until = newest
        horizon = forgotten(self._records)
        missing = {station: self._missing(station, horizon.get(station, 0)) for station in list(self._lines)}
        for station, parts in missing.items():
            self._shown.show_unaccounted(station, parts)
        return missing

    def _missing(self, station: str, above: int) -> int:
        line, before = self._lines[station], self._wall() - self._grace_seconds
        for gap in [gap for gap in line.gaps(above=above) if gap.since < before][:_GAPS_AT_ONCE]:
            for _, number, at in decided_between(self._records, station, gap.first, gap.last):
                line.add(number, min(at, self._wall()))
        missing = sum(gap.parts for gap in line.gaps(above=above) if gap.since < before)
        return max(0, missing - self._waiting.get(station, 0))
