"""What the station says about itself: its retained `status`."""

import logging
import queue
import threading
import time
from contextlib import suppress
from typing import Protocol

from edge_node.control.active_encoder import ActiveEncoder
from edge_node.control.profile_cache import ProfileCache
from edge_node.outbox.outbox import Outbox
from patchline.mqtt.settings import Will
from patchline.wire.errors import UnavailableError
from patchline.wire.messages import CONTENT_TYPE_JSON, EdgeStatus, to_json
from patchline.wire.topics import Station, Topics

_log = logging.getLogger(__name__)

_POLL_SECONDS = 0.2
_REFRESH_SECONDS = 15.0


class Publishes(Protocol):
    """The part of a link the announcer needs."""

    def publish(self, topic: str, payload: bytes, *, retain: bool = False, content_type: str = "") -> None:
        """Hand a message to the broker; raises `UnavailableError` when that is impossible now."""
        ...


def last_will(station: Station, topics: Topics, boot_id: str) -> Will:
    """What the broker says when the station falls silent."""
    dead = EdgeStatus(station=str(station), online=False, boot_id=boot_id)
    return Will(topic=topics.of(station, "status"), payload=to_json(dead), retain=True, content_type=CONTENT_TYPE_JSON)


class StatusPublisher:
    """Keeps the retained `status` true: birth, profile and codec in use, missing assets, answers to commands.

    Args:
        station: Who speaks.
        topics: The topic tree.
        boot_id: Names this run.
        version: The program's version.
        mode: Tells the codec in use and whether the station is paused.
        cache: Tells the assets still missing.
        outbox: Tells how much waits.
    """

    def __init__(
        self,
        station: Station,
        topics: Topics,
        *,
        boot_id: str,
        version: str,
        active_encoder: ActiveEncoder,
        cache: ProfileCache,
        outbox: Outbox,
    ) -> None:
        self._station, self._topic, self._boot_id, self._version = (
            station,
            topics.of(station, "status"),
            boot_id,
            version,
        )
        self._active_encoder, self._cache, self._outbox = active_encoder, cache, outbox
        self._told: EdgeStatus | None = None
        self._wanted: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()

    def announce(self, *, answers: str = "", error: str = "") -> None:
        """Have the status published soon, from any thread: it changed, or answers a command."""
        self._wanted.put((answers, error))

    def run(self, link: Publishes, stop: threading.Event) -> None:
        """Publish what is announced until stopped, then the station's farewell."""
        refresh_at = time.monotonic() + _REFRESH_SECONDS
        while not stop.is_set():
            with suppress(queue.Empty):
                answers, error = self._wanted.get(timeout=_POLL_SECONDS)
                self._publish(link, self._status(online=True, answers=answers, error=error))
            if time.monotonic() >= refresh_at:
                refresh_at = time.monotonic() + _REFRESH_SECONDS
                self._refresh(link)
        self._publish(link, self._status(online=False))

    def _refresh(self, link: Publishes) -> None:
        """Tell what has changed by itself, and ask again for assets that did not come."""
        status = self._status(online=True)
        if status != self._told or status.missing_assets:
            self._publish(link, status)

    def _status(self, *, online: bool, answers: str = "", error: str = "") -> EdgeStatus:
        encoder, state = self._active_encoder.encoder, self._outbox.state
        return EdgeStatus(
            station=str(self._station),
            online=online,
            boot_id=self._boot_id,
            version=self._version,
            codec=encoder.rung.codec if encoder else "",
            profile=encoder.profile.fingerprint if encoder else "",
            paused=self._active_encoder.paused,
            outbox_rows=state.rows,
            outbox_bytes=state.bytes,
            missing_assets=self._cache.missing,
            answers=answers,
            error=error,
        )

    def _publish(self, link: Publishes, status: EdgeStatus) -> None:
        try:
            link.publish(self._topic, to_json(status), retain=True, content_type=CONTENT_TYPE_JSON)
        except UnavailableError as unavailable:
            _log.debug("status not published, the next connection will: %s", unavailable)
        else:
            self._told = status
