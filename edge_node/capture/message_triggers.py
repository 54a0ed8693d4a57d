"""Triggers that the plant sends as messages: dated and bounded as they are received, each taken once."""

import logging
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from functools import partial
from uuid import uuid4

from edge_node.capture.arrival_clock import ArrivalClock
from edge_node.capture.sources.protocol import Arrival
from edge_node.capture.trigger_message import read_trigger
from edge_node.gate.gate_controller import GateController
from edge_node.metrics import EdgeMetrics
from edge_node.outbox.rows import Trigger
from patchline.mqtt.delivery import Delivery
from patchline.wire.messages import sha256_of

_log = logging.getLogger(__name__)

_POLL_SECONDS = 0.2
_LIMIT = 1024
_REMEMBERED = 4096
_OLDEST_SECONDS = 86_400.0


class MessageTriggers:
    """Takes trigger messages on the link's thread, and gives them on to the thread that reserves their numbers.

    A message is acknowledged when its number is on the disk. The gate knows of the part from the moment its message is
    received, so it takes its default in time even if the disk does not answer.

    Args:
        topic: The only topic that is taken.
        gate_controller: Told of each part at once.
        clock: Says how old a message is.
        metrics: Where repeats, unreadable and lost messages are counted.
        stop: Ends taking messages.
        limit: How many may wait for their numbers.
    """

    def __init__(
        self,
        topic: str,
        gate_controller: GateController,
        clock: ArrivalClock,
        metrics: EdgeMetrics,
        stop: threading.Event,
        *,
        limit: int = _LIMIT,
    ) -> None:
        self._topic, self._gate_controller, self._clock = topic, gate_controller, clock
        self._metrics, self._stop = metrics, stop
        self._waiting: queue.Queue[Arrival] = queue.Queue(maxsize=limit)
        self._known: OrderedDict[str, None] = OrderedDict()

    def receive(self, delivery: Delivery) -> None:
        """Take a trigger message; returns at once. After the stop, messages are left to the broker."""
        if self._stop.is_set():
            return
        if delivery.topic != self._topic:
            _log.warning("a message on %s was not asked for", delivery.topic[:256])
            self._metrics.unreadable.labels("unknown").inc()
            delivery.acknowledge()
        elif delivery.retained:
            _log.warning("a retained trigger on %s is no part: its part has gone by", self._topic)
            self._metrics.unreadable.labels("trigger").inc()
            delivery.acknowledge()
        else:
            self._take(delivery)

    def arrivals(self) -> Iterator[Arrival]:
        """The triggers in the order they were received, until stopped and none waits any more."""
        while not (self._stop.is_set() and self._waiting.empty()):
            try:
                yield self._waiting.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                continue

    def _take(self, delivery: Delivery) -> None:
        message, fault = read_trigger(delivery.payload)
        if fault:
            _log.warning("a trigger cannot be read, its part is taken without an id: %s", fault)
            self._metrics.unreadable.labels("trigger").inc()
        if self._is_repeat(message.trigger_id, delivery):
            _log.info("a trigger was sent again and is no second part")
            self._metrics.repeated_triggers.inc()
            delivery.acknowledge()
            return
        received_at = delivery.received_at or time.monotonic()
        arrived = self._clock.dated(received_at)
        trigger = _trigger(message.part_id, arrived, message.triggered_at)  # type: ignore[arg-type]
        self._gate_controller.expect(trigger)
        done = delivery.acknowledge if arrived == received_at else partial(self._finish_old, delivery)
        try:
            self._waiting.put_nowait(Arrival(trigger, told=True, on_reserved=done))
        except queue.Full:
            _log.error("part %s has no number: the outbox takes nothing and too many triggers wait", trigger.part_id)
            self._metrics.overflows.inc()
            done()

    def _finish_old(self, delivery: Delivery) -> None:
        delivery.acknowledge()
        self._clock.dealt_with()

    def _is_repeat(self, trigger_id: str | int | None, delivery: Delivery) -> bool:
        """Whether this trigger was taken before: by its id, or as the broker's repetition of the same message."""
        keys = [f"digest {sha256_of(delivery.payload)}"]
        if trigger_id is not None:
            keys.append(f"id {trigger_id}")
        repeat = keys[-1] in self._known and (trigger_id is not None or delivery.duplicate)
        for key in keys:
            self._known[key] = None
            self._known.move_to_end(key)
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return repeat


def _trigger(part_id: str | None, arrived: float, plant_time: float | None) -> Trigger:
    now, wall = time.monotonic(), time.time()
    if plant_time is not None:
        arrived = min(arrived, now - min(max(0.0, wall - plant_time), _OLDEST_SECONDS))
    return Trigger(
        inspection_id=str(uuid4()),
        part_id=part_id,
        captured_at=wall - (now - arrived),
        captured_monotonic=arrived,
    )
