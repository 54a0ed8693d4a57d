"""What the service says unasked, and what edge nodes ask of it: its birth, their profiles, and codecs' assets."""

import logging
import queue
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, Protocol

from patchline.mqtt.delivery import Acknowledged, Delivery
from patchline.mqtt.settings import Will
from patchline.wire.errors import MisconfiguredError, UnavailableError, UnreadableError
from patchline.wire.messages import (
    CONTENT_TYPE_ASSET,
    CONTENT_TYPE_JSON,
    CONTENT_TYPE_PROFILE,
    MAX_ASSET_CHUNK_BYTES,
    AssetChunk,
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
PAUSE_SECONDS = 0.05
MAX_WAITING_JOBS = 1000


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


class Announcements:
    """Publishes profiles, assets and the service's state; one thread runs `run`.

    One message at a time is on its way, so that a large asset never takes the link from the verdicts.

    Args:
        notices: The link.
        library: Profiles and assets.
        birth: The service's state while it is online.
        topic: Where that state is published, retained.
    """

    def __init__(
        self, notices: NoticePublisher, *, library: Library, topics: Topics, birth: ServiceStatus, topic: str
    ) -> None:
        self._notices, self._library, self._topics = notices, library, topics
        self._birth, self._topic = birth, topic
        self._jobs: queue.Queue[tuple[str, str] | None] = queue.Queue(MAX_WAITING_JOBS)
        self._wanted: set[tuple[str, str]] = set()
        self._stopped = threading.Event()

    def announce(self) -> None:
        """The link is up: tell everybody. Returns at once."""
        self._ask(("", ""))

    def on_status(self, delivery: Delivery) -> None:
        """Note which assets an edge node misses. Returns at once."""
        try:
            station, _ = self._topics.parse(delivery.topic)
            if station.line == SERVICE_LINE:
                return
            status: EdgeStatus = from_json(delivery.payload, EdgeStatus)
        except UnreadableError as error:
            log.debug("ignored a status on %s: %s", delivery.topic, error)
            return
        for sha256 in status.missing_assets:
            self._ask((str(station), sha256))

    def run(self) -> None:
        """Publish what is asked for until `stop`."""
        while (job := self._jobs.get()) is not None:
            self._wanted.discard(job)
            station, sha256 = job
            try:
                if sha256:
                    self._send_asset(Station.parse(station), sha256)
                else:
                    self._announce()
            except UnavailableError as error:
                # Every connection begins with an announcement, and an edge node asks again for what it misses.
                log.debug("left unsaid: %s", error)

    def stop(self) -> None:
        """Say that the service is going offline, and end `run`."""
        self._stopped.set()
        try:
            self._publish(self._topic, to_json(self._death()), content_type=CONTENT_TYPE_JSON, retain=True)
        except UnavailableError as error:
            log.debug("left without a goodbye: %s", error)
        self._wanted.clear()
        while True:
            try:
                self._jobs.put_nowait(None)
            except queue.Full:
                self._jobs.get_nowait()
            else:
                return

    def will(self) -> Will:
        """What the broker says for us if we go without a goodbye."""
        return Will(topic=self._topic, payload=to_json(self._death()), content_type=CONTENT_TYPE_JSON)

    def _death(self) -> ServiceStatus:
        return ServiceStatus(
            name=self._birth.name, online=False, instance=self._birth.instance, version=self._birth.version
        )

    def _ask(self, job: tuple[str, str]) -> None:
        if job in self._wanted:
            return
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            log.warning("too many requests wait; %s will have to ask again", job[0] or "the announcement")
        else:
            self._wanted.add(job)

    def _announce(self) -> None:
        """Profiles first, then the birth: whoever waited for the service encodes with the right one at once."""
        for station, profile in self._library.profiles.items():
            topic = self._topics.of(Station.parse(station), "profile")
            self._publish(topic, pack(profile), content_type=CONTENT_TYPE_PROFILE, retain=True)
        self._publish(self._topic, to_json(self._birth), content_type=CONTENT_TYPE_JSON, retain=True)
        log.info("online with %d profiles", len(self._library.profiles))

    def _send_asset(self, station: Station, sha256: str) -> None:
        path = self._library.asset(sha256)
        if path is None:
            log.warning("%s misses asset %s, which no profile offers", station, sha256[:12])
            return
        try:
            self._send_file(station, sha256, path)
        except OSError as error:
            # It was there when the folder was opened; one station's missing file must not end everybody's service.
            log.warning("%s misses asset %s, which cannot be read: %s", station, sha256[:12], error)

    def _send_file(self, station: Station, sha256: str, path: Path) -> None:
        size = path.stat().st_size
        with path.open("rb") as file:
            for offset in range(0, max(size, 1), MAX_ASSET_CHUNK_BYTES):
                chunk = AssetChunk(sha256=sha256, size=size, offset=offset, data=file.read(MAX_ASSET_CHUNK_BYTES))
                self._publish(self._topics.of(station, "asset"), pack(chunk), content_type=CONTENT_TYPE_ASSET)
        log.info("sent asset %s of %d bytes to %s", sha256[:12], size, station)

    def _publish(self, topic: str, payload: bytes, *, content_type: str, retain: bool = False) -> None:
        """Publish one message and wait until the broker has it.

        Raises:
            UnavailableError: The connection is gone.
        """
        settled = threading.Event()
        while True:
            try:
                self._notices.publish(
                    topic, payload, retain=retain, content_type=content_type, on_done=lambda _: settled.set()
                )
            except UnavailableError:
                if not self._notices.connected or self._stopped.wait(PAUSE_SECONDS):
                    raise
            except MisconfiguredError as error:
                log.warning("cannot publish %s: %s", topic, error)
                return
            else:
                break
        if not settled.wait(ACKNOWLEDGEMENT_SECONDS):
            raise UnavailableError(f"the broker did not acknowledge {topic}")
