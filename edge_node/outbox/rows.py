"""What an outbox is given and gives back."""

from typing import Literal

import msgspec

from patchline.wire.errors import UnavailableError
from patchline.wire.messages import Seconds

Kind = Literal["reserved", "frame", "drop"]
"""What a row holds: nothing yet, a picture, or why there is none."""


class OutboxFullError(UnavailableError):
    """A frame is over the budget; a smaller one, or the same after some rows are closed, may fit."""


class Trigger(msgspec.Struct, frozen=True, kw_only=True):
    """Who and when, known at the trigger, before anything is exposed."""

    inspection_id: str
    part_id: str | None
    captured_at: float
    captured_monotonic: float


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """An inspection that waits, without its message.

    Attributes:
        message_bytes: Length of the encoded message; 0 while only reserved.
        stages: Seconds the edge spent on it.
        gate_action: What the gate was told, or empty.
    """

    sequence: int
    inspection_id: str
    part_id: str
    boot_id: str
    clock_id: str
    captured_at: float
    captured_monotonic: float
    kind: Kind
    message_bytes: int
    sha256: str | None
    payload_bytes: int
    stages: Seconds
    gate_action: str
    gate_grounds: str


class OutboxState(msgspec.Struct, frozen=True):
    """How full the outbox is; `oldest_captured_at` is None when it is empty."""

    rows: int
    bytes: int
    budget_bytes: int
    oldest_captured_at: float | None


class Closing(msgspec.Struct, frozen=True, kw_only=True):
    """How an inspection ended; see `JournalLine` for the fields. A gate action given here is claimed with it."""

    outcome: str
    reason: str = ""
    latency_seconds: float | None = None
    sends: int = 0
    stages: Seconds = {}
    gate_action: str = ""
    gate_grounds: str = ""

    def moving(self, action: str, grounds: str) -> "Closing":
        """The same, claiming the gate."""
        return msgspec.structs.replace(self, gate_action=action, gate_grounds=grounds)
