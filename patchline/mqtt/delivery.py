"""What a link hands to its owner: deliveries, results of publications, the terms of a connection."""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field


def no_acknowledgement() -> None:
    """Do nothing: a delivery of QoS 0 has no acknowledgement."""


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """A message the broker delivered.

    Attributes:
        duplicate: The broker may have delivered it before and got no acknowledgement.
        received_at: `time.monotonic()` when the network thread had read it whole.
        duplicate: The broker may have delivered it before, and heard nothing of it.
        user: MQTT 5 user properties.
        on_acknowledge: What `acknowledge` calls.
    """

    topic: str
    payload: bytes
    content_type: str = ""
    correlation: bytes = b""
    retained: bool = False
    duplicate: bool = False
    received_at: float = 0.0
    user: tuple[tuple[str, str], ...] = ()
    on_acknowledge: Callable[[], None] = field(default=no_acknowledgement, repr=False, compare=False)

    def acknowledge(self) -> None:
        """Tell the broker that this delivery has been handled. Any thread may call it, more than once.

        Acknowledgements leave in the order of delivery: this one waits for those of all earlier deliveries of its
        connection. After the connection has ended it is ignored.
        """
        self.on_acknowledge()


@dataclass(frozen=True)
class Acknowledged:
    """What became of a publication. If it was not accepted, the caller keeps it and sends it again.

    Attributes:
        accepted: Whether the broker took it (QoS 1), or it was written to the socket (QoS 0).
        reason: The broker's reason, or why there was no acknowledgement.
    """

    accepted: bool
    reason: str


@dataclass(frozen=True, kw_only=True)
class Connection:
    """The terms of a connection whose subscriptions are granted.

    Attributes:
        session: Counts the connections of a link, from 1.
        session_present: The broker still had our session.
        window: How many publications may be unacknowledged at once.
        max_packet_bytes: The largest packet that may be published.
    """

    session: int
    session_present: bool
    window: int
    max_packet_bytes: int


@dataclass
class _Expected:
    packet_id: int
    settled: bool = False


class AcknowledgementOrder:
    """The unacknowledged deliveries of one connection (MQTT-4.6.0-2).

    Args:
        send: Sends the acknowledgement of a packet id. It is called under a lock, from the thread that settles.
    """

    def __init__(self, send: Callable[[int], object]) -> None:
        self._send: Callable[[int], object] | None = send
        self._lock = threading.Lock()
        self._expected: deque[_Expected] = deque()

    def expect(self, packet_id: int) -> Callable[[], None]:
        """Note a delivery. The returned callable settles it."""
        expected = _Expected(packet_id)
        with self._lock:
            self._expected.append(expected)

        def settle() -> None:
            with self._lock:
                expected.settled = True
                # The lock is held while sending, so that two threads cannot change the order.
                while self._send is not None and self._expected and self._expected[0].settled:
                    self._send(self._expected.popleft().packet_id)

        return settle

    def close(self) -> None:
        """Forget everything: the connection has ended, and nothing may be acknowledged on it any more."""
        with self._lock:
            self._send = None
            self._expected.clear()
