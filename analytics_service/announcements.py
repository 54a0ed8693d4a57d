"""Publishes the service's status and the stations' profiles, and sends ranges of assets to edge nodes that ask."""

import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from patchline.mqtt.delivery import Acknowledged, Delivery
from patchline.mqtt.settings import Will
from patchline.runtime.backoff import Backoff
from patchline.runtime.loops import run_loop, until_available
from patchline.runtime.unique_queue import UniqueQueue
from patchline.runtime.watchdog import Watchdog
from patchline.wire.errors import MisconfiguredError, UnavailableError, UnreadableError
from patchline.wire.messages import (
    CONTENT_TYPE_ASSET,
    CONTENT_TYPE_JSON,
    CONTENT_TYPE_PROFILE,
    MAX_ASSET_CHUNK_BYTES,
    AssetChunk,
    AssetRange,
    EdgeStatus,
    Profile,
    ServiceStatus,
    from_json,
    pack,
    to_json,
)
from patchline.wire.topics import SERVICE_LINE, Station, Topics

log = logging.getLogger(__name__)

ACKNOWLEDGEMENT_SECONDS = 30.0
FULL_LINK = Backoff(first_seconds=0.05, longest_seconds=0.5)
MAX_WAITING_JOBS = 1000
POLL_SECONDS = 1.0
_WHOLE = 2**63 - 1


class NoticePublisher(Protocol):
    """A link to publish through."""

    @property
    def connected(self) -> bool:
        """Whether there is any use in trying again."""

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: Literal[0, 1] = 1,
        retain: bool = False,
        content_type: str = "",
        on_done: Callable[[Acknowledged], None] | None = None,
    ) -> None:
        """Hand over a message, or raise `UnavailableError` at once."""


class Library(Protocol):
    """Profiles by station, and the files they offer."""

    @property
    def profiles(self) -> Mapping[str, Profile]:
        """How each station encodes."""

    def asset(self, sha256: str) -> Path | None:
        """The file of an asset that some profile offers, or None."""


class Job(NamedTuple):
    """A range of an asset that a station asks for; the profiles and the birth where the station is empty."""

    station: str = ""
    wanted: AssetRange | None = None


ANNOUNCEMENT = Job()


class Announcements:
    """Publishes profiles, ranges of assets and the service's state; one thread runs `run`.

    One message at a time is on its way, and an edge node asks for one range at a time, so that verdicts do not wait.

    Args:
        notices: The link.
        library: Profiles and assets.
        topics: The topic tree.
        birth: The service's state while it is online.
        topic: Where that state is published, retained.
        watchdog: Told of each job.
    """

    def __init__(
        self,
        notices: NoticePublisher,
        *,
        library: Library,
        topics: Topics,
        birth: ServiceStatus,
        topic: str,
        watchdog: Watchdog,
    ) -> None:
        self._notices, self._library, self._topics = notices, library, topics
        self._birth, self._topic, self._watchdog = birth, topic, watchdog
        self._jobs: UniqueQueue[Job] = UniqueQueue(MAX_WAITING_JOBS + 1)
        self._stopped = threading.Event()

    def announce(self) -> None:
        """Have the profiles and the birth published soon: the link is up, or a profile changed. Returns at once."""
        self._jobs.put(ANNOUNCEMENT)

    def on_status(self, delivery: Delivery) -> None:
        """Note which ranges an edge node asks this service for. Returns at once."""
        try:
            station, _ = self._topics.parse(delivery.topic)
            if station.line == SERVICE_LINE:
                return
            status: EdgeStatus = from_json(delivery.payload, EdgeStatus)
        except UnreadableError as error:
            log.debug("ignored a status on %s: %s", delivery.topic, error)
            return
        if status.asked_service not in {"", self._birth.name}:
            return
        wanted = status.missing_ranges
        if wanted is None:
            wanted = tuple(AssetRange(sha256=sha256, offset=0, size=_WHOLE) for sha256 in status.missing_assets)
        for one in wanted:
            if len(self._jobs) >= MAX_WAITING_JOBS or not self._jobs.put(Job(str(station), one)):
                log.warning("too many requests wait; %s has to ask again", station)

    def run(self) -> None:
        """Publish what is asked for until `stop`."""
        run_loop("announcements", self._step, self._stopped, watchdog=self._watchdog)

    def stop(self) -> None:
        """Publish that the service goes offline, and end `run`."""
        self._stopped.set()
        try:
            self._publish(self._topic, to_json(self._death()), content_type=CONTENT_TYPE_JSON, retain=True)
        except UnavailableError as error:
            log.debug("left without a goodbye: %s", error)

    def will(self) -> Will:
        """What the broker publishes for us if the connection ends without a goodbye."""
        return Will(topic=self._topic, payload=to_json(self._death()), content_type=CONTENT_TYPE_JSON)

    def _death(self) -> ServiceStatus:
        return ServiceStatus(
            name=self._birth.name, online=False, instance=self._birth.instance, version=self._birth.version
        )

    def _step(self) -> None:
        job = self._jobs.take(POLL_SECONDS)
        if job is None or self._stopped.is_set():
            return
        try:
            if job.wanted is None:
                self._announce()
            else:
                self._send(Station.parse(job.station), job.wanted)
        except UnavailableError as error:
            # Each connection begins with an announcement, and an edge node asks again for what did not come.
            log.debug("not published: %s", error)
            if job == ANNOUNCEMENT and self._notices.connected:
                self._jobs.put(job)
                raise

    def _announce(self) -> None:
        """Profiles first, then the birth: an edge node that waited for the service encodes with the right one."""
        profiles = self._library.profiles
        for station, profile in profiles.items():
            topic = self._topics.of(Station.parse(station), "profile")
            self._publish(topic, pack(profile), content_type=CONTENT_TYPE_PROFILE, retain=True)
        self._publish(self._topic, to_json(self._birth), content_type=CONTENT_TYPE_JSON, retain=True)
        log.info("online with %d profiles", len(profiles))

    def _send(self, station: Station, wanted: AssetRange) -> None:
        path = self._library.asset(wanted.sha256)
        if path is None:
            log.warning("%s misses asset %s, which no profile offers", station, wanted.sha256[:12])
            return
        try:
            self._send_range(station, wanted, path)
        except OSError as error:
            # It was there when the folder was opened; one station's missing file must not end everybody's service.
            log.warning("%s misses asset %s, which cannot be read: %s", station, wanted.sha256[:12], error)

    def _send_range(self, station: Station, wanted: AssetRange, path: Path) -> None:
        size = path.stat().st_size
        end = min(size, wanted.offset + wanted.size)
        with path.open("rb") as file:
            file.seek(min(wanted.offset, size))
            for offset in range(wanted.offset, max(end, wanted.offset + 1), MAX_ASSET_CHUNK_BYTES):
                data = file.read(min(MAX_ASSET_CHUNK_BYTES, max(end - offset, 0)))
                chunk = AssetChunk(sha256=wanted.sha256, size=size, offset=offset, data=data)
                self._publish(self._topics.of(station, "asset"), pack(chunk), content_type=CONTENT_TYPE_ASSET)
        if end == size:
            log.info("sent the end of asset %s of %d bytes to %s", wanted.sha256[:12], size, station)

    def _publish(self, topic: str, payload: bytes, *, content_type: str, retain: bool = False) -> None:
        """Publish one message and wait until the broker has it.

        Raises:
            UnavailableError: The connection is gone, or the broker does not acknowledge.
        """
        settled = threading.Event()

        def offer() -> bool:
            """Whether the link took it; a link that is full is tried again, one that is gone is not."""
            try:
                self._notices.publish(
                    topic, payload, retain=retain, content_type=content_type, on_done=lambda _: settled.set()
                )
            except UnavailableError:
                if self._notices.connected:
                    raise
                return False
            return True

        try:
            if not until_available(f"publication on {topic}", offer, self._stopped, backoff=FULL_LINK):
                raise UnavailableError("the connection is gone")
        except MisconfiguredError as error:
            log.warning("cannot publish %s: %s", topic, error)
            return
        if not settled.wait(ACKNOWLEDGEMENT_SECONDS):
            raise UnavailableError(f"the broker did not acknowledge {topic}")
