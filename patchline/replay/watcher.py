"""An independent observer: a connection of its own that records every verdict and map on the wire."""

import logging
import queue
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

import msgspec

from patchline.mqtt.delivery import Delivery
from patchline.mqtt.link import Link
from patchline.mqtt.settings import LinkSettings, Subscription
from patchline.replay.reconciliation import Sighting
from patchline.wire.errors import UnavailableError, UnreadableError
from patchline.wire.messages import MapMessage, Receipt, ServiceStatus, Verdict, from_json, sha256_of, unpack
from patchline.wire.topics import SERVICE_LINE, Topics

_log = logging.getLogger(__name__)

_MAX_WAITING = 10_000
_LAST_SEEN = 8
_GOODBYE_SECONDS = 2.0


class Tally(msgspec.Struct, kw_only=True):
    """What has been seen of one station so far."""

    judged: int = 0
    outcomes: dict[str, int] = {}


class Watcher:
    """Sees every verdict and map of the line, and nothing of the processes that make them.

    Maps are written to files at once, so that only the verdicts stay in memory; those are bounded by the ledger.

    Args:
        link: How to reach the broker; its client id must be the watcher's own.
        topics: The tree to watch.
        directory: Where the maps are written, one file an inspection.
        stations: The `site/line/station` of the stations to watch.
        site: The only one we may look into, where the broker guards the others.
    """

    def __init__(
        self, link: LinkSettings, topics: Topics, directory: Path, stations: list[str], *, site: str = "+"
    ) -> None:
        self._topics, self._directory = topics, directory
        self._waiting: queue.Queue[tuple[Delivery, float] | None] = queue.Queue(maxsize=_MAX_WAITING)
        self._lock = threading.Lock()
        self._sightings: list[Sighting] = []
        self._last: deque[Verdict] = deque(maxlen=_LAST_SEEN)
        self._tallies = {station: Tally() for station in stations}
        self._counted: set[str] = set()
        self._service_online = threading.Event()
        self._thread = threading.Thread(target=self._write, name="watcher", daemon=True)
        self._link = Link(
            link,
            subscriptions=[
                Subscription(topics.every("verdict", site=site), 1),
                Subscription(topics.every("status", site=site), 1),
                Subscription(topics.every("map", site=site), 0),
            ],
            on_delivery=self._take,
            on_connected=lambda connection: _log.info("watcher connected, epoch %s", connection.session),
            on_disconnected=lambda reason: _log.info("watcher disconnected: %s", reason),
        )

    def start(self, *, timeout_seconds: float = 20.0) -> None:
        """Watch from now on.

        Raises:
            UnavailableError: The broker does not take us in time.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        self._thread.start()
        self._link.start()
        if not self._link.wait_connected(timeout_seconds):
            self.stop()
            raise UnavailableError(f"the watcher found no broker within {timeout_seconds:g} seconds")

    def stop(self) -> None:
        """Stop watching and finish what has arrived."""
        self._link.stop(_GOODBYE_SECONDS)
        self._waiting.put(None)
        self._thread.join()

    def sightings(self) -> list[Sighting]:
        """Every verdict and drop receipt seen so far, repeats included."""
        with self._lock:
            return list(self._sightings)

    def tallies(self) -> dict[str, Tally]:
        """What has been seen of each station so far."""
        with self._lock:
            return {
                station: Tally(judged=tally.judged, outcomes=dict(tally.outcomes))
                for station, tally in self._tallies.items()
            }

    def last(self) -> list[Verdict]:
        """The latest verdicts, newest first."""
        with self._lock:
            return list(reversed(self._last))

    def wait_service(self, timeout_seconds: float) -> bool:
        """Wait until an analytics service has said that it serves; whether one has."""
        return self._service_online.wait(timeout_seconds)

    def map_file(self, inspection_id: str) -> Path:
        """Where an inspection's map is, if one was seen."""
        return self._directory / f"{inspection_id}.msgpack"

    def _take(self, delivery: Delivery) -> None:
        try:
            self._waiting.put_nowait((delivery, time.time()))
        except queue.Full:
            # The records still know the verdict. Unacknowledged, it would hold back every acknowledgement after it.
            _log.warning("watcher cannot keep up: %s left out", delivery.topic)
            delivery.acknowledge()

    def _write(self) -> None:
        while (item := self._waiting.get()) is not None:
            delivery, seen_at = item
            try:
                self._keep(delivery, seen_at)
            except UnreadableError as error:
                _log.warning("watcher cannot read a message on %s: %s", delivery.topic, error)
            except OSError as error:
                _log.warning("watcher cannot keep a map: %s", error.strerror)
            delivery.acknowledge()

    def _keep(self, delivery: Delivery, seen_at: float) -> None:
        station, channel = self._topics.parse(delivery.topic)
        if channel == "status":
            if station.line == SERVICE_LINE and from_json(delivery.payload, ServiceStatus).online:
                self._service_online.set()
            return
        if channel == "map":
            self.map_file(unpack(delivery.payload, MapMessage).inspection_id).write_bytes(delivery.payload)
            return
        receipt: Any = from_json(delivery.payload, Receipt)
        sighting = Sighting(receipt=receipt, digest=sha256_of(delivery.payload), seen_at=seen_at)
        with self._lock:
            self._sightings.append(sighting)
            self._count(receipt)

    def _count(self, receipt: Any) -> None:
        tally = self._tallies.get(receipt.station)
        if tally is None or receipt.inspection_id in self._counted:
            return
        self._counted.add(receipt.inspection_id)
        tally.judged += 1
        outcome = receipt.outcome if isinstance(receipt, Verdict) else "dropped"
        tally.outcomes[outcome] = tally.outcomes.get(outcome, 0) + 1
        if isinstance(receipt, Verdict):
            self._last.append(receipt)
