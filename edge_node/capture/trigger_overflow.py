"""Triggers that came while too many waited: their parts are told as drops, on a thread of their own.

An outbox without room takes not even a drop, and whoever reports one waits. Only verdicts make room again, so that must
never be the thread that hears verdicts: station and service would wait for each other for ever.
"""

import logging
import queue
import threading
from collections.abc import Callable

from edge_node.capture.sources.triggers import MessageTriggers, read_trigger
from edge_node.metrics import EdgeMetrics
from patchline.mqtt.delivery import Delivery
from patchline.wire.errors import UnreadableError

_log = logging.getLogger(__name__)

_LIMIT = 1024
_POLL_SECONDS = 0.2


class TriggerOverflow:
    """Hands triggers to the capture, and what it cannot take to `supersede`.

    Args:
        triggers: Where the capture waits for its triggers.
        supersede: Reports a part without a picture; may wait for the outbox.
        metrics: Where parts are counted that nobody can report any more.
    """

    def __init__(
        self, triggers: MessageTriggers, supersede: Callable[[str | None], object], metrics: EdgeMetrics
    ) -> None:
        self._triggers, self._supersede, self._metrics = triggers, supersede, metrics
        self._waiting: queue.Queue[str | None] = queue.Queue(maxsize=_LIMIT)

    def receive(self, delivery: Delivery) -> None:
        """On the inbox's thread: a part is there. Returns at once.

        Raises:
            UnreadableError: It is no trigger, or a retained one: that part has gone by long ago.
        """
        if delivery.retained:
            raise UnreadableError("a trigger must not be retained, its part has gone by", code="trigger")
        part_id = read_trigger(delivery.payload)
        if not self._triggers.offer(part_id):
            self._put(part_id)

    def run(self, stop: threading.Event) -> None:
        """Report parts until stopped, and then those that the capture left."""
        while not stop.is_set():
            try:
                part_id = self._waiting.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                continue
            with self._metrics.watchdog.working("surplus"):
                self._supersede(part_id)
        for part_id in self._triggers.leftover():
            self._put(part_id)
        while not self._waiting.empty():
            self._supersede(self._waiting.get_nowait())

    def _put(self, part_id: str | None) -> None:
        try:
            self._waiting.put_nowait(part_id)
        except queue.Full:
            _log.error("part %s is lost, it has no number: the outbox takes nothing and %d wait", part_id, _LIMIT)
            self._metrics.overflows.inc()
