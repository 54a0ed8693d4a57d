"""A part is produced when its trigger arrives: it gets its number at once, and waits for its picture in a queue."""

import threading
from collections import deque
from typing import NamedTuple

import msgspec

from edge_node.capture.recorder import PartRecorder
from edge_node.capture.sources.protocol import Arrival, Shot, Source
from edge_node.gate.gate_controller import GateController
from edge_node.metrics import EdgeMetrics
from edge_node.outbox.rows import Row

_POLL_SECONDS = 0.2
_CAPACITY = 64


class NumberedPart(NamedTuple):
    """A part that has its number and waits for its picture."""

    row: Row
    shot: Shot


class TriggerIntake:
    """A bounded queue of reserved rows. `arrive` belongs to the trigger loop, `take` and `done` to the capture loop.

    Args:
        source: Names the picture of each trigger.
        recorder: Reserves the numbers.
        gate_controller: Told of each part before its number is written, so that its deadline runs from its arrival.
        metrics: The watchdog's.
        stop: After it no part gets a picture.
        capacity: How many parts may wait; the next one is a drop `superseded`.
    """

    def __init__(
        self,
        source: Source,
        recorder: PartRecorder,
        gate_controller: GateController,
        metrics: EdgeMetrics,
        stop: threading.Event,
        *,
        capacity: int = _CAPACITY,
    ) -> None:
        self._source, self._recorder, self._gate_controller = source, recorder, gate_controller
        self._metrics, self._stop, self._capacity = metrics, stop, capacity
        self._changed = threading.Condition()
        self._waiting: deque[NumberedPart] = deque()
        self._busy = self._ended = False

    def arrive(self, arrival: Arrival) -> bool:
        """Number a part and queue it; False when the source has ended, or the station stops without a number for it."""
        trigger = arrival.trigger
        shot = arrival.shot or self._source.at(trigger)
        if shot is None and not arrival.told:
            return False
        if shot is not None and shot.part_id != trigger.part_id:
            trigger = msgspec.structs.replace(trigger, part_id=shot.part_id)
        with self._metrics.watchdog.working("triggers"):
            self._gate_controller.expect(trigger)
            row = self._recorder.reserve(trigger)
            if row is None:
                return False
            arrival.on_reserved()
            self._gate_controller.watch(row)
            self._queue(row, shot)
        if self._source.ended():
            self.end()
        return True

    def end(self) -> None:
        """No more triggers come."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def wait_idle(self, stop: threading.Event) -> None:
        """Wait until every part that was taken in has been captured."""
        with self._changed:
            while (self._waiting or self._busy) and not stop.is_set():
                self._changed.wait(_POLL_SECONDS)

    def take(self) -> NumberedPart | None:
        """The next part for its picture; None when all are captured and no more come."""
        with self._changed:
            while not self._waiting:
                if self._ended:
                    return None
                self._changed.wait(_POLL_SECONDS)
            self._busy = True
            return self._waiting.popleft()

    def done(self) -> None:
        """The part that was taken is captured."""
        with self._changed:
            self._busy = False
            self._changed.notify_all()

    def _queue(self, row: Row, shot: Shot | None) -> None:
        if shot is None:
            self._recorder.drop(row, "capture_failed", "the source has ended", loop="triggers")
        elif self._stop.is_set():
            self._recorder.drop(row, "interrupted", "the station stopped before the picture", loop="triggers")
        elif not self._has_room(NumberedPart(row, shot)):
            self._recorder.drop(row, "superseded", "too many triggers waited", loop="triggers")

    def _has_room(self, part: NumberedPart) -> bool:
        with self._changed:
            if len(self._waiting) >= self._capacity:
                return False
            self._waiting.append(part)
            self._changed.notify_all()
            return True
