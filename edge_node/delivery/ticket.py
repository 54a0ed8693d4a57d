"""An open inspection as the publisher sees it, and the rules by which it is sent again."""

from dataclasses import dataclass
from typing import Literal

Channel = Literal["frame", "backlog"]
CHANNELS: tuple[Channel, ...] = ("frame", "backlog")
State = Literal["ready", "in_flight", "awaiting"]


@dataclass(slots=True)
class Ticket:
    """An open inspection as the publisher sees it.

    Attributes:
        captured: When its part was captured on this boot's monotonic clock; minus infinity for earlier boots.
        due: When it may be sent.
        sends: How often it was sent in this boot.
        sent_at: When it was sent last.
        keep_seconds: What it took to keep it; kept for the journal.
        uplink_seconds: From its last sending to the broker's acknowledgement, once that came; kept for the journal.
        disturbed: The time to its answer says nothing, because a link or a service came back meanwhile.
    """

    inspection_id: str
    sequence: int
    captured: float
    due: float
    channel: Channel
    state: State = "ready"
    sends: int = 0
    sent_at: float = 0.0
    keep_seconds: float = 0.0
    uplink_seconds: float | None = None
    disturbed: bool = False


@dataclass(frozen=True, slots=True)
class SchedulePolicy:
    """How a schedule decides.

    Attributes:
        live_seconds: How old a part may be and still go by the live channel.
        first_resend_seconds: The shortest wait for a verdict before the first resend; four times the 99th percentile
            of the live answers seen, if that is longer, up to ten seconds.
        backlog_window: How many backlog messages may be sent and not yet answered.
        backlog_bytes_per_second: How fast the backlog may go; None leaves it to the link.
    """

    live_seconds: float = 2.0
    first_resend_seconds: float = 2.0
    backlog_window: int = 4
    backlog_bytes_per_second: float | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How often an inspection was sent since the start, and the seconds its row took to keep and to reach the broker.

    Attributes:
        uplink_seconds: Of the last sending; None while the broker has not acknowledged it.
    """

    sends: int = 0
    keep_seconds: float = 0.0
    uplink_seconds: float | None = None
