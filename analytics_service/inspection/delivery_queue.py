"""The worker's waiting line: bounded in messages and bytes, live parts before historical ones."""

import threading
import time
from collections import deque
from collections.abc import Callable

from patchline.mqtt.delivery import Delivery

BACKLOG_SHARE = 2
"""Historical parts in one micro-batch at most: a live part never waits behind more of them than this."""


class DeliveryQueue:
    """Deliveries between the network threads and the worker.

    The receive maximum asks the broker for the same, but MQTT 3.1.1 knows none and Mosquitto 2.0 keeps to it for the
    first burst only (measured); these bounds always hold.

    Args:
        max_messages: Deliveries that may wait.
        max_bytes: Bytes they may have together.
        clock: Monotonic seconds.
    """

    def __init__(self, *, max_messages: int, max_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_messages, self._max_bytes, self._clock = max_messages, max_bytes, clock
        self._live: deque[Delivery] = deque()
        self._historical: deque[Delivery] = deque()
        self._bytes = 0
        self._closed = False
        self._changed = threading.Condition()

    def offer(self, delivery: Delivery, *, historical: bool) -> bool:
        """Queue a delivery; never blocks. False if the queue is full or closed: it is not handled."""
        with self._changed:
            if self._closed or len(self) >= self._max_messages:
                return False
            # One message always fits, so that a bound set too low slows the line down and does not stop it.
            if len(self) and self._bytes + len(delivery.payload) > self._max_bytes:
                return False
            (self._historical if historical else self._live).append(delivery)
            self._bytes += len(delivery.payload)
            self._changed.notify_all()
            return True

    def take(self, *, limit: int, wait_seconds: float) -> list[Delivery]:
        """Wait for work, then a little longer for company.

        Args:
            limit: Deliveries in one micro-batch.
            wait_seconds: How long the first one waits for others.

        Returns:
            Live ones first, each kind in receive order; empty once the line is closed and has run dry.
        """
        with self._changed:
            self._changed.wait_for(lambda: len(self) or self._closed)
            deadline = self._clock() + wait_seconds
            while len(self._live) < limit and not self._closed:
                left = deadline - self._clock()
                if left <= 0 or not self._changed.wait(left):
                    break
            batch = [self._live.popleft() for _ in range(min(limit, len(self._live)))]
            room = min(limit - len(batch), BACKLOG_SHARE, len(self._historical))
            batch += [self._historical.popleft() for _ in range(room)]
            self._bytes -= sum(len(delivery.payload) for delivery in batch)
            return batch

    def close(self) -> None:
        """Take nothing in any more; what waits will still be handed out."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def __len__(self) -> int:
        return len(self._live) + len(self._historical)

    @property
    def waiting_bytes(self) -> int:
        """Bytes of all deliveries that wait."""
        return self._bytes
