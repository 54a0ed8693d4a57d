"""Publishes what the station says about itself: its retained `status`."""

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import NamedTuple, Protocol

from edge_node.control.active_encoder import ActiveEncoder
from edge_node.control.asset_download import AssetRequest
from edge_node.control.profile_cache import ProfileCache
from edge_node.outbox.outbox import Outbox
from patchline.mqtt.delivery import Acknowledged
from patchline.mqtt.settings import Will
from patchline.runtime.loops import run_loop
from patchline.runtime.watchdog import Watchdog
from patchline.wire.errors import UnavailableError
from patchline.wire.messages import CONTENT_TYPE_JSON, EdgeStatus, to_json
from patchline.wire.topics import Station, Topics

_log = logging.getLogger(__name__)

_POLL_SECONDS = 0.2
_RETRY_SECONDS = 0.02
"""After the link took nothing: frames use its window too, and a free place does not stay free for long."""
_REFRESH_SECONDS = 15.0
_MOST_ANSWERS = 1000


class Publishes(Protocol):
    """The part of a link that a status needs."""

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        retain: bool = False,
        content_type: str = "",
        on_done: Callable[[Acknowledged], None] | None = None,
    ) -> None:
        """Hand a message to the broker; raises `UnavailableError` when that is impossible now."""
        ...


class _Notice(NamedTuple):
    """A reason to publish a status: something changed, or a command is answered."""

    answers: str = ""
    error: str = ""


def last_will(station: Station, topics: Topics, boot_id: str) -> Will:
    """What the broker says when the station falls silent."""
    dead = EdgeStatus(station=str(station), online=False, boot_id=boot_id)
    return Will(topic=topics.of(station, "status"), payload=to_json(dead), retain=True, content_type=CONTENT_TYPE_JSON)


def nobody() -> Sequence[str]:
    """No service is known."""
    return ()


class StatusPublisher:
    """Keeps the retained `status` true: birth, profile and codec in use, missing assets, answers to commands.

    An answer is published again until the broker has acknowledged it.

    Args:
        station: Whose status this is.
        topics: The topic tree.
        boot_id: Names this run.
        version: The program's version.
        active_encoder: Tells the codec in use and whether the station is paused.
        cache: Tells the assets still missing.
        outbox: Tells how much waits.
        services: The names of the services that are up; one of them is asked for assets.
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
        services: Callable[[], Sequence[str]] = nobody,
    ) -> None:
        self._station, self._topic = station, topics.of(station, "status")
        self._boot_id, self._version, self._services = boot_id, version, services
        self._active_encoder, self._cache, self._outbox = active_encoder, cache, outbox
        self._told: EdgeStatus | None = None
        self._arrived: queue.SimpleQueue[_Notice | None] = queue.SimpleQueue()
        self._unpublished: deque[_Notice] = deque(maxlen=_MOST_ANSWERS)
        self._refresh_at = 0.0
        self._link_was_full = False

    def announce(self, *, answers: str = "", error: str = "") -> None:
        """Have the status published soon, from any thread: it changed, or answers a command."""
        self._arrived.put(_Notice(answers, error))

    def wake(self) -> None:
        """Let `run` look, from any thread, whether more of an asset has to be asked for."""
        self._arrived.put(None)

    def run(self, link: Publishes, stop: threading.Event, watchdog: Watchdog) -> None:
        """Publish what is announced until stopped, then that the station goes offline."""
        self._refresh_at = time.monotonic() + _REFRESH_SECONDS
        run_loop("status publisher", partial(self._step, link), stop, watchdog=watchdog)
        with suppress(UnavailableError):
            self._publish(link, self._status(online=False))

    def _step(self, link: Publishes) -> None:
        self._collect()
        if self._unpublished:
            notice = self._unpublished[0]
            status = self._status(online=True, answers=notice.answers, error=notice.error)
            if self._publish(link, status, notice):
                self._unpublished.popleft()
            return
        request = self._cache.next_request()
        if request is not None:
            if not self._publish(link, self._status(online=True, request=request)):
                self._cache.not_asked()
        elif time.monotonic() >= self._refresh_at:
            self._refresh_at = time.monotonic() + _REFRESH_SECONDS
            status = self._status(online=True)
            if status != self._told:
                self._publish(link, status)

    def _collect(self) -> None:
        """Wait a moment for a notice, and take all there are; two that only say "it changed" are one."""
        with suppress(queue.Empty):
            notice = self._arrived.get(timeout=_RETRY_SECONDS if self._link_was_full else _POLL_SECONDS)
            while True:
                if notice is not None and (notice.answers or notice not in self._unpublished):
                    self._unpublished.append(notice)
                notice = self._arrived.get_nowait()

    def _status(
        self, *, online: bool, answers: str = "", error: str = "", request: AssetRequest | None = None
    ) -> EdgeStatus:
        encoder, state, services = self._active_encoder.encoder, self._outbox.state, self._services()
        return EdgeStatus(
            station=str(self._station),
            online=online,
            boot_id=self._boot_id,
            version=self._version,
            codec=encoder.profile_codec.codec if encoder else "",
            profile=encoder.profile.fingerprint if encoder else "",
            paused=self._active_encoder.paused,
            outbox_rows=state.rows,
            outbox_bytes=state.bytes,
            missing_assets=self._cache.missing,
            answers=answers,
            error=error,
            missing_ranges=(request.range,) if request else (),
            asked_service=services[request.silences % len(services)] if request and services else "",
        )

    def _publish(self, link: Publishes, status: EdgeStatus, notice: _Notice | None = None) -> bool:
        """Publish a status; whether the link took it. An answer that the broker does not take is published again."""

        def done(fate: Acknowledged) -> None:
            if not fate.accepted and notice is not None and notice.answers:
                self._arrived.put(notice)

        try:
            link.publish(self._topic, to_json(status), retain=True, content_type=CONTENT_TYPE_JSON, on_done=done)
        except UnavailableError as unavailable:
            _log.debug("status not published yet: %s", unavailable)
            self._link_was_full = True
            return False
        self._told, self._link_was_full = status, False
        return True
