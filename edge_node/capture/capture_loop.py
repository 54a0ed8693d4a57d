"""From light to a durable row: every trigger ends as a frame or as a drop with its reason."""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar
from uuid import uuid4

from edge_node.capture.full_outbox import Overflow, StopCapture
from edge_node.capture.sources.protocol import Pixels, Shot, Source
from edge_node.control.active_encoder import ActiveEncoder
from edge_node.encoding.image_encoder import Encoder
from edge_node.gate.gate_controller import GateController
from edge_node.metrics import EdgeMetrics
from edge_node.outbox.outbox import Outbox
from edge_node.outbox.rows import OutboxFullError, Row, Trigger, drop_message, traceparent_of
from patchline.wire.errors import MisconfiguredError, UnavailableError, UnreadableError
from patchline.wire.messages import MAX_MESSAGE_BYTES, DropReason, FrameMessage, Seconds, pack, sha256_of

_log = logging.getLogger(__name__)

T = TypeVar("T")

_FIRST_RETRY_SECONDS = 0.05
_LONGEST_RETRY_SECONDS = 2.0


class Kept(Protocol):
    """Whoever sends rows."""

    def kept(self, row: Row, *, keep_seconds: float = 0.0) -> None:
        """A row can be sent; keeping it took so long."""
        ...


class Capture:
    """The capture loop of one station.

    Args:
        source: Where shots come from.
        outbox: Where their rows go.
        mode: Which encoder to use, and whether to capture at all.
        gatekeeper: Told of each part before it is exposed.
        publisher: Told of each row that can be sent.
        station: Named in every message.
        metrics: Where sizes, times and drops are counted.
        stop: Ends the loop.
        overflow: What is done about a full outbox.
    """

    def __init__(
        self,
        source: Source,
        *,
        outbox: Outbox,
        active_encoder: ActiveEncoder,
        gate_controller: GateController,
        publisher: Kept,
        station: str,
        metrics: EdgeMetrics,
        stop: threading.Event,
        overflow: Overflow | None = None,
    ) -> None:
        self._source, self._outbox, self._active_encoder, self._gate_controller = (
            source,
            outbox,
            active_encoder,
            gate_controller,
        )
        self._publisher, self._station, self._metrics, self._stop = publisher, station, metrics, stop
        self._overflow = overflow or StopCapture()

    def run(self, unfinished: Iterable[Row] = ()) -> None:
        """Capture until the source ends or `stop` is set; without a profile or while paused no trigger is awaited.

        Args:
            unfinished: Rows of numbers that an earlier boot reserved and never used; reported first.
        """
        for row in unfinished:
            self._drop(row, "interrupted", "the edge node ended between trigger and picture")
        shots = iter(self._source.frames())
        while self._active_encoder.await_encoder(self._stop) is not None:
            shot = next(shots, None)
            encoder = self._active_encoder.encoder
            if shot is None or encoder is None:
                return
            with self._metrics.watchdog.working("capture"):
                if not self.take(shot, encoder):
                    return

    def take(self, shot: Shot, encoder: Encoder) -> bool:
        """Make a row of one shot; False only when stopped before its number could be reserved."""
        row = self._reserve(shot.part_id)
        if row is None:
            return False
        self._gate_controller.watch(row)
        try:
            message, frame, stages = self._message(row, shot, encoder)
        except _Dropped as dropped:
            self._drop(row, dropped.reason, dropped.detail)
            return True
        started = time.perf_counter()
        try:
            self._append(row, message, payload_bytes=len(frame.payload), stages=stages)
        except UnavailableError as error:
            self._metrics.blocked.set(1)
            self._drop(row, "outbox_full", str(error))
            return True
        self._metrics.blocked.set(0)
        keep_seconds = time.perf_counter() - started
        self._publisher.kept(row, keep_seconds=keep_seconds)
        self._metrics.payload_bytes.labels(frame.codec).observe(len(frame.payload))
        for stage, seconds in {**stages, "keep": keep_seconds}.items():
            self._metrics.stage_seconds.labels(stage).observe(seconds)
        return True

    def _append(self, row: Row, message: bytes, *, payload_bytes: int, stages: Seconds) -> None:
        try:
            self._outbox.append(row, message, "frame", payload_bytes=payload_bytes, stages=stages)
        except OutboxFullError:
            if not self._overflow.make_room(len(message)):
                raise
            self._outbox.append(row, message, "frame", payload_bytes=payload_bytes, stages=stages)

    def supersede(self, part_id: str | None) -> None:
        """Report a part that no picture could be taken of, because too many triggers were waiting.

        Waits for an outbox without room, so it has a thread of its own: see `edge_node.capture.trigger_overflow`.
        """
        row = self._reserve(part_id, loop="surplus")
        if row is not None:
            self._gate_controller.watch(row)
            self._drop(row, "superseded", "too many triggers waited", loop="surplus")

    def _reserve(self, part_id: str | None, *, loop: str = "capture") -> Row | None:
        trigger = Trigger(
            inspection_id=str(uuid4()),
            part_id=part_id,
            captured_at=time.time(),
            captured_monotonic=time.monotonic(),
        )
        row = self._insist(lambda: self._outbox.reserve(trigger), loop)
        if row is None:
            _log.error("part %s is lost, it has no number: stopped while the outbox takes nothing", part_id)
        else:
            self._metrics.parts.inc()
        return row

    def _message(self, row: Row, shot: Shot, encoder: Encoder) -> tuple[bytes, FrameMessage, Seconds]:
        started = time.perf_counter()
        pixels = _exposed(shot)
        exposed = time.perf_counter() - started
        encoder = self._overflow.choose(encoder, pixels)
        try:
            payload, stages, health = encoder.encode(pixels)
        except MisconfiguredError as error:
            raise _Dropped("encode_failed", str(error)) from error
        self._metrics.observe_picture(health)
        stages = {"capture": exposed, **stages}
        frame = FrameMessage(
            inspection_id=row.inspection_id,
            station=self._station,
            boot_id=row.boot_id,
            sequence=row.sequence,
            part_id=row.part_id,
            captured_at=row.captured_at,
            traceparent=traceparent_of(row.inspection_id),
            artifact=encoder.rung.artifact,
            codec=encoder.rung.codec,
            payload=payload,
            payload_sha256=sha256_of(payload),
            stages=stages,
        )
        message = pack(frame)
        if len(message) > MAX_MESSAGE_BYTES:
            raise _Dropped("too_large", f"the message has {len(message)} bytes, the limit is {MAX_MESSAGE_BYTES}")
        return message, frame, stages

    def _drop(self, row: Row, reason: DropReason, detail: str, *, loop: str = "capture") -> None:
        _log.warning("part %s (number %d) is dropped, %s: %s", row.part_id, row.sequence, reason, detail)
        message = drop_message(row, self._station, reason, detail)

        def keep() -> Row:
            self._outbox.append(row, message, "drop", stages={})
            return row

        if self._insist(keep, loop) is not None:
            self._metrics.drops.labels(reason).inc()
            self._publisher.kept(row)

    def _insist(self, attempt: Callable[[], T], loop: str) -> T | None:
        """Try until the outbox obeys: the triggers of a loop wait so long. None once stopped."""
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


class _Dropped(Exception):  # noqa: N818  it ends a part's journey, not the program's
    """A part that gets no frame."""

    def __init__(self, reason: DropReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def _exposed(shot: Shot) -> Pixels:
    try:
        return shot.open()
    except (UnreadableError, UnavailableError) as error:
        raise _Dropped("capture_failed", str(error)) from error
