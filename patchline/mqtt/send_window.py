"""What is on the way out over one connection, and no more than the broker allows."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from patchline.mqtt.delivery import Acknowledged
from patchline.mqtt.packets import Publication
from patchline.wire.errors import MisconfiguredError, UnavailableError

_NO_MATCHING_SUBSCRIBERS = 0x10
_FIRST_FAILURE = 0x80


class TooLargeError(MisconfiguredError):
    """A message that the broker would throw us out for.

    Attributes:
        packet_bytes: What it would take on the wire.
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
    """A publication and whom to tell about its fate."""

    publication: Publication
    on_done: Callable[[Acknowledged], None] | None

    def done(self, fate: Acknowledged) -> None:
        """Tell."""
        if self.on_done is not None:
            self.on_done(fate)


class SendWindow:
    """The bounded window of one connection. Shut at first, open while the connection may publish.

    `offer` may be called from any thread; everything else belongs to the network thread.

    Args:
        limit_bytes: The largest packet our own settings allow.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._lock = threading.Lock()
        self._capacity = 0
        self._limit_bytes = limit_bytes
        self._waiting: deque[Request] = deque()
        self._in_flight: dict[int, Request] = {}
        self._moved_at, self._unwritten = 0.0, False

    def open(self, capacity: int, limit_bytes: int) -> None:
        """Let publications in, so many at once and so large each."""
        with self._lock:
            self._capacity, self._limit_bytes = capacity, limit_bytes

    def shut(self) -> None:
        """Let nothing more in, and keep what is on its way."""
        with self._lock:
            self._capacity = 0

    def offer(self, request: Request) -> None:
        """Take a publication in.

        Raises:
            UnavailableError: The window is shut, or full.
            TooLargeError: The broker would not take it.
        """
        size = request.publication.packet_bytes
        with self._lock:
            if size > self._limit_bytes:
                raise TooLargeError(size, self._limit_bytes, request.publication.topic)
            if self._capacity == 0:
                raise UnavailableError("the link is not connected")
            if self._occupied() >= self._capacity:
                raise UnavailableError(f"{self._capacity} publications already await their acknowledgement")
            self._waiting.append(request)

    def take(self) -> Request | None:
        """The next publication to hand to the socket, for `sent` to follow."""
        with self._lock:
            return self._waiting.popleft() if self._waiting else None

    def sent(self, packet_id: int, request: Request) -> None:
        """The publication now goes by this packet id."""
        with self._lock:
            self._in_flight[packet_id] = request
            self._unwritten = True

    def waited_seconds(self, *, writing: bool) -> float:
        """For how long nothing of what is on its way was acknowledged, though it has all been written out."""
        with self._lock:
            now = time.monotonic()
            if self._unwritten or not self._in_flight:
                self._moved_at = now
            # A ping that is written later says nothing of the publications before it.
            self._unwritten = self._unwritten and writing
            return now - self._moved_at

    def acknowledged(self, packet_id: int, code: int, reason: str) -> None:
        """The broker answered (QoS 1), or the socket took it (QoS 0): tell whoever published."""
        with self._lock:
            request = self._in_flight.pop(packet_id, None)
            self._moved_at = time.monotonic()
        if request is not None:
            accepted = code < _FIRST_FAILURE and code != _NO_MATCHING_SUBSCRIBERS
            request.done(Acknowledged(accepted=accepted, reason=reason))

    def idle(self) -> bool:
        """Whether nothing is on its way."""
        with self._lock:
            return self._occupied() == 0

    def close(self, reason: str) -> None:
        """The connection is gone: whatever was on its way was not accepted."""
        with self._lock:
            self._capacity = 0
            lost = [*self._in_flight.values(), *self._waiting]
            self._in_flight.clear()
            self._waiting.clear()
        for request in lost:
            request.done(Acknowledged(accepted=False, reason=reason))

    def _occupied(self) -> int:
        return len(self._waiting) + len(self._in_flight)
