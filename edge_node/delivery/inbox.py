"""Deliveries, taken off the network thread and handled on threads of their own, so that verdicts wait for nothing."""

import logging
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Literal

from edge_node.metrics import EdgeMetrics
from patchline.mqtt.delivery import Delivery
from patchline.runtime.loops import Failures, run_loop, until_available
from patchline.wire.errors import UnavailableError, UnreadableError

_log = logging.getLogger(__name__)

_POLL_SECONDS = 0.2

Lane = Literal["verdicts", "commands", "profiles"]
LANES: tuple[Lane, ...] = ("verdicts", "commands", "profiles")
_LIMITS: dict[Lane, int] = {"verdicts": 1024, "commands": 64, "profiles": 64}
"""Deliveries that may wait; a chunk of an asset has up to 256 kB."""

_LOOPS: dict[Lane, str] = {lane: f"inbox of {lane}" for lane in LANES}

Handler = Callable[[Delivery], None]


class Inbox:
    """Bounded queues, one for each lane, and the loops that empty them.

    Acknowledgements leave in the order of arrival. So a delivery of the lanes that may take long, `commands` and
    `profiles`, is acknowledged before it is handled: else verdicts would wait for it at the broker. It is handled again
    until the disk takes it. A delivery of the lane `verdicts` is acknowledged once it was handled or could not be
    handled: its sender repeats it.

    Args:
        metrics: Where unreadable deliveries are counted.
    """

    def __init__(self, metrics: EdgeMetrics) -> None:
        self._handlers: dict[str, tuple[Lane, Handler]] = {}
        self._metrics = metrics
        self._waiting: dict[Lane, queue.Queue[Delivery]] = {
            lane: queue.Queue(maxsize=limit) for lane, limit in _LIMITS.items()
        }
        self._unexpected_topic = ""
        self._failures = Failures("the handling of verdicts")
        metrics.inbox.set_function(lambda: sum(waiting.qsize() for waiting in self._waiting.values()))

    def on(self, topic: str, handler: Handler, lane: Lane = "verdicts") -> None:
        """Choose who handles a topic, or every topic with this last level; before the link starts."""
        self._handlers[topic] = (lane, handler)

    def put(self, delivery: Delivery) -> None:
        """On the link's thread: keep a delivery for `run`."""
        lane, _ = self._handler_of(delivery)
        try:
            self._waiting[lane].put_nowait(delivery)
        except queue.Full:
            _log.error("too many deliveries wait, that on %s is left to its sender", delivery.topic)
            self._metrics.overflows.inc()
            delivery.acknowledge()
        else:
            if lane != "verdicts":
                delivery.acknowledge()

    def run(self, stop: threading.Event, lane: Lane = "verdicts") -> None:
        """Handle a lane's deliveries until stopped."""

        def step() -> None:
            with suppress(queue.Empty):
                self.handle(self._waiting[lane].get(timeout=_POLL_SECONDS), stop)

        run_loop(_LOOPS[lane], step, stop, watchdog=self._metrics.watchdog)

    def handle(self, delivery: Delivery, stop: threading.Event) -> None:
        """Handle one delivery, on the thread of its lane."""
        lane, handler = self._handler_of(delivery)
        try:
            if handler is None:
                self._note_unexpected(delivery)
            elif lane == "verdicts":
                handler(delivery)
            else:
                until_available(_LOOPS[lane], partial(handler, delivery), stop, watchdog=self._metrics.watchdog)
        except UnreadableError as error:
            _log.warning("delivery on %s is unreadable: %s", delivery.topic, error.reason)
            self._metrics.unreadable.labels(_channel_of(delivery)).inc()
        except UnavailableError as error:
            self._failures.failed(error)
        else:
            self._failures.succeeded()
        delivery.acknowledge()

    def _handler_of(self, delivery: Delivery) -> tuple[Lane, Handler | None]:
        found = self._handlers.get(delivery.topic) or self._handlers.get(_channel_of(delivery))
        return found or ("verdicts", None)

    def _note_unexpected(self, delivery: Delivery) -> None:
        """Count a delivery that has no handler; the first of a run of them is logged."""
        level = logging.DEBUG if delivery.topic == self._unexpected_topic else logging.WARNING
        _log.log(level, "a delivery on %.200s was ignored: nothing here handles this topic", delivery.topic)
        self._unexpected_topic = delivery.topic
        self._metrics.unreadable.labels("unexpected").inc()


def _channel_of(delivery: Delivery) -> str:
    return delivery.topic.rpartition("/")[2]
