"""Acknowledgements of one connection, sent in the order of its deliveries whatever order they are settled in."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass
class _Expected:
    packet_id: int
    settled: bool = False


class AcknowledgementOrder:
    """The deliveries of one connection that the broker still waits for (MQTT-4.6.0-2).

    Args:
        wake: Called from the settling thread when an acknowledgement may have become due.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._expected: deque[_Expected] = deque()
        self._open = True

    def expect(self, packet_id: int) -> Callable[[], None]:
        """Note a delivery; the callable returned settles it."""
        expected = _Expected(packet_id)
        with self._lock:
            self._expected.append(expected)

        def settle() -> None:
            with self._lock:
                if expected.settled or not self._open:
                    return
                expected.settled = True
                due = self._expected[0] is expected
            if due:
                self._wake()

        return settle

    def due(self) -> Iterator[int]:
        """Take, in receive order, the packet ids whose turn it is."""
        while True:
            with self._lock:
                if not self._expected or not self._expected[0].settled:
                    return
                expected = self._expected.popleft()
            yield expected.packet_id

    def close(self) -> None:
        """The connection is gone: forget everything, and ignore whatever is settled from now on."""
        with self._lock:
            self._open = False
            self._expected.clear()
