"""The send window: the unacknowledged publications of one connection, no more than the broker allows."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from patchline.mqtt.delivery import Acknowledged
from patchline.mqtt.packets import Publication
from patchline.wire.errors import MisconfiguredError, UnavailableError

_NO_MATCHING_SUBSCRIBERS = 0x10
_FIRST_FAILURE = 0x80


class TooLargeError(MisconfiguredError):
    """A message for which the broker would close the connection.

    Attributes:
        packet_bytes: Its size on the wire.
        limit_bytes: What our settings and the broker allow.
    """

    def __init__(self, packet_bytes: int, limit_bytes: int, topic: str) -> None:
        self.packet_bytes, self.limit_bytes = packet_bytes, limit_bytes
        super().__init__(
            f"a packet of {packet_bytes} bytes is over the limit of {limit_bytes}",
            where=topic,
            remedy="raise max_packet_bytes here and max_packet_size at the broker, or send less",
        )


@dataclass(frozen=True)
class Request:
    """A publication, and the callback that gets its result."""

    publication: Publication
    on_done: Callable[[Acknowledged], None] | None

    def done(self, result: Acknowledged) -> None:
        """Report the result."""
        if self.on_done is not None:
            self.on_done(result)


class SendWindow:
    """The bounded window of one connection. It is shut until the connection may publish.

    `offer` and `wait_idle` may be called from any thread; everything else is called from the network thread.

    Args:
        limit_bytes: The largest packet our own settings allow.
        send: Queues a publication for the socket and returns its packet id. It is called under the window's lock, so
            that the id is known here before its acknowledgement can arrive.
    """

    def __init__(self, limit_bytes: int, send: Callable[[Publication], int]) -> None:
        self._changed = threading.Condition()
        self._send = send
        self._capacity = 0
        self._limit_bytes = limit_bytes
        self._in_flight: dict[int, Request] = {}
        self._progress_at, self._unwritten = 0.0, False

    def open(self, capacity: int, limit_bytes: int) -> None:
        """Accept publications: so many unacknowledged, each of at most so many bytes."""
        with self._changed:
            self._capacity, self._limit_bytes = capacity, limit_bytes

    def shut(self) -> None:
        """Accept nothing more; wait for what was sent."""
        with self._changed:
            self._capacity = 0

    def offer(self, request: Request) -> None:
        """Send a publication.

        Raises:
            UnavailableError: The window is shut or full, or the connection has just ended.
            TooLargeError: The broker would not take it.
        """
        size = request.publication.packet_bytes
        with self._changed:
            if size > self._limit_bytes:
                raise TooLargeError(size, self._limit_bytes, request.publication.topic)
            if self._capacity == 0:
                raise UnavailableError("the link is not connected")
            if len(self._in_flight) >= self._capacity:
                raise UnavailableError(f"{self._capacity} publications already await their acknowledgement")
            self._in_flight[self._send(request.publication)] = request
            self._unwritten = True

    def waited_seconds(self, *, writing: bool) -> float:
        """For how long nothing was acknowledged although every publication has been written to the socket.

        Args:
            writing: Whether the client still has something to write.
        """
        with self._changed:
            now = time.monotonic()
            if self._unwritten or not self._in_flight:
                self._progress_at = now
            # Once the publications are written, a ping that is written later must not restart the measurement.
            self._unwritten = self._unwritten and writing
            return now - self._progress_at

    def acknowledged(self, packet_id: int, code: int, reason: str) -> None:
        """Report the result of a publication: the broker answered it (QoS 1) or it was written (QoS 0)."""
        with self._changed:
            request = self._in_flight.pop(packet_id, None)
            self._progress_at = time.monotonic()
            self._changed.notify_all()
        if request is not None:
            accepted = code < _FIRST_FAILURE and code != _NO_MATCHING_SUBSCRIBERS
            request.done(Acknowledged(accepted=accepted, reason=reason))

    def idle(self) -> bool:
        """Whether no publication awaits its acknowledgement."""
        with self._changed:
            return not self._in_flight

    def wait_idle(self, timeout_seconds: float) -> None:
        """Wait until no publication awaits its acknowledgement."""
        with self._changed:
            self._changed.wait_for(lambda: not self._in_flight, timeout_seconds)

    def close(self, reason: str) -> None:
        """Report every unacknowledged publication as not accepted: the connection has ended."""
        with self._changed:
            self._capacity = 0
            lost = list(self._in_flight.values())
            self._in_flight.clear()
            self._changed.notify_all()
        for request in lost:
            request.done(Acknowledged(accepted=False, reason=reason))
