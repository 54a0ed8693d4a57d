"""Deliveries, taken off the network thread and handled one after another."""

import logging
import queue
import threading
from collections.abc import Callable

from edge_node.metrics import EdgeMetrics
from patchline.mqtt.delivery import Delivery
from patchline.wire.errors import UnavailableError, UnreadableError

_log = logging.getLogger(__name__)

_LIMIT = 1024
_POLL_SECONDS = 0.2

Handler = Callable[[Delivery], None]


class Inbox:
    """A bounded queue and the loop that empties it.

    Everything that arrives here is either repeated by its sender or retained, so a delivery that does not fit or cannot
    be handled is logged, acknowledged, and done with: left unacknowledged it would hold up every later one.

    Args:
        metrics: Where unreadable deliveries are counted.
    """

    def __init__(self, metrics: EdgeMetrics) -> None:
        self._handlers: dict[str, Handler] = {}
        self._metrics = metrics
        self._waiting: queue.Queue[Delivery] = queue.Queue(maxsize=_LIMIT)
        metrics.inbox.set_function(self._waiting.qsize)

    def on(self, topic: str, handler: Handler) -> None:
        """Choose who handles a topic, or every topic with this last level; before the link starts."""
        self._handlers[topic] = handler

    def put(self, delivery: Delivery) -> None:
        """On the link's thread: keep a delivery for `run`."""
        try:
            self._waiting.put_nowait(delivery)
        except queue.Full:
            _log.error("inbox is full, delivery on %s left to its sender", delivery.topic)
            self._metrics.overflows.inc()
            delivery.acknowledge()

    def run(self, stop: threading.Event) -> None:
        """Handle deliveries until stopped."""
        while not stop.is_set():
            try:
                delivery = self._waiting.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                continue
            with self._metrics.watchdog.working("inbox"):
                self._handle(delivery)

    def _handle(self, delivery: Delivery) -> None:
        channel = delivery.topic.rpartition("/")[2]
        handler = self._handlers.get(delivery.topic) or self._handlers.get(channel)
        try:
            if handler is not None:
                handler(delivery)
            else:
                _log.warning("a delivery on %s was not asked for", delivery.topic[:256])
                self._metrics.unreadable.labels("unknown").inc()
        except UnreadableError as error:
            _log.warning("delivery on %s is unreadable: %s", delivery.topic, error.reason)
            self._metrics.unreadable.labels(channel).inc()
        except UnavailableError as error:
            _log.error("delivery on %s not handled, its sender repeats it: %s", delivery.topic, error)
        delivery.acknowledge()
