"""Writes parts to the outbox: their numbers, their frames and their drops."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from edge_node.metrics import EdgeMetrics
from edge_node.outbox.outbox import Outbox
from edge_node.outbox.rows import OutboxFullError, Row, Trigger, drop_message
from patchline.wire.errors import UnavailableError
from patchline.wire.messages import DropReason, Seconds

_log = logging.getLogger(__name__)

T = TypeVar("T")

_FIRST_RETRY_SECONDS = 0.05
_LONGEST_RETRY_SECONDS = 2.0


class Kept(Protocol):
    """Sends rows."""

    def kept(self, row: Row, *, keep_seconds: float = 0.0) -> None:
        """A row can be sent; keeping it took so long."""
        ...


def never(needed_bytes: int) -> bool:
    """There is no room for a frame over the budget."""
    del needed_bytes
    return False


class PartRecorder:
    """Safe to use from the trigger loop and the capture loop.

    Args:
        outbox: Where parts are written.
        publisher: Told of each row that can be sent.
        station: Named in every drop.
        metrics: Where parts and drops are counted.
        stop: Ends the wait for an outbox that takes nothing.
        make_room: Asked when a frame of so many bytes is over the budget; whether there is room now.
    """

    def __init__(
        self,
        outbox: Outbox,
        publisher: Kept,
        *,
        station: str,
        metrics: EdgeMetrics,
        stop: threading.Event,
        make_room: Callable[[int], bool] = never,
    ) -> None:
        self._outbox, self._publisher, self._station, self._metrics = outbox, publisher, station, metrics
        self._stop, self._make_room = stop, make_room

    def reserve(self, trigger: Trigger) -> Row | None:
        """Give a part its number; None only when stopped while the outbox takes nothing."""
        row = self._insist(lambda: self._outbox.reserve(trigger), "triggers")
        if row is None:
            _log.error("part %s has no number: stopped while the outbox takes nothing", trigger.part_id)
        else:
            self._metrics.parts.inc()
        return row

    def keep(self, row: Row, message: bytes, *, payload_bytes: int, stages: Seconds) -> float | None:
        """Keep a frame; the seconds it took, or None when the part became a drop because nothing can be kept."""
        started = time.perf_counter()
        try:
            self._append(row, message, payload_bytes, stages)
        except UnavailableError as error:
            self._metrics.blocked.set(1)
            self.drop(row, "outbox_full", str(error))
            return None
        self._metrics.blocked.set(0)
        seconds = time.perf_counter() - started
        self._publisher.kept(row, keep_seconds=seconds)
        return seconds

    def drop(self, row: Row, reason: DropReason, detail: str, *, loop: str = "capture") -> None:
        """Write down that a part gets no frame, and why."""
        _log.warning("part %s (number %d) is dropped, %s: %s", row.part_id, row.sequence, reason, detail)
        message = drop_message(row, self._station, reason, detail)

        def write() -> Row:
            self._outbox.append(row, message, "drop", stages={})
            return row

        if self._insist(write, loop) is not None:
            self._metrics.drops.labels(reason).inc()
            self._publisher.kept(row)

    def _append(self, row: Row, message: bytes, payload_bytes: int, stages: Seconds) -> None:
        try:
            self._outbox.append(row, message, "frame", payload_bytes=payload_bytes, stages=stages)
        except OutboxFullError:
            if not self._make_room(len(message)):
                raise
            self._outbox.append(row, message, "frame", payload_bytes=payload_bytes, stages=stages)

    def _insist(self, attempt: Callable[[], T], loop: str) -> T | None:
        """Try until the outbox takes it. None once stopped."""
        delay = _FIRST_RETRY_SECONDS
        while True:
            try:
                result = attempt()
            except UnavailableError as error:
                if delay == _FIRST_RETRY_SECONDS:
                    _log.error("capture blocked: %s", error)
                    self._metrics.blocked.set(1)
                self._metrics.watchdog.beat(loop)
                if self._stop.wait(delay):
                    return None
                delay = min(_LONGEST_RETRY_SECONDS, delay * 2)
            else:
                if delay != _FIRST_RETRY_SECONDS:
                    _log.info("capture goes on")
                    self._metrics.blocked.set(0)
                return result
