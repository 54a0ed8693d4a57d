"""What a link hands to its owner: deliveries, fates of publications, and the connection's terms."""

from collections.abc import Callable
from dataclasses import dataclass, field


def nothing() -> None:
    """A delivery of QoS 0 has nobody who waits for its acknowledgement."""


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """A message the broker delivered.

    Attributes:
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
    on_acknowledge: Callable[[], None] = field(default=nothing, repr=False, compare=False)

    def acknowledge(self) -> None:
        """Tell the broker that this delivery is dealt with; from any thread, and repeating it does nothing.

        Acknowledgements leave in receive order: this one waits for those of all earlier deliveries of its connection.
        Once that connection is gone it means nothing any more and is ignored.
        """
        self.on_acknowledge()


@dataclass(frozen=True)
class Acknowledged:
    """A publication's fate at the broker. Not accepted, it is the caller's to keep and to send again.

    Attributes:
        accepted: Whether the broker took it (QoS 1), or it went out through the socket (QoS 0).
        reason: The broker's reason, or what kept the publication from being acknowledged.
    """

    accepted: bool
    reason: str


@dataclass(frozen=True, kw_only=True)
class Connection:
    """The terms of a connection whose subscriptions are live.

    Attributes:
        epoch: Counts the connections of a link, from 1.
        session_present: The broker still knew our session.
        window: How many publications may be on the way at once.
        max_packet_bytes: The largest packet that may be published.
    """

    session: int
    session_present: bool
    window: int
    max_packet_bytes: int
