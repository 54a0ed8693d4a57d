"""The values that an outbox takes and returns."""

from pathlib import Path
from typing import Literal
from uuid import UUID, uuid4

import msgspec

from patchline.wire.errors import UnavailableError
from patchline.wire.messages import DropMessage, DropReason, Seconds, pack

Kind = Literal["reserved", "frame", "drop"]
"""What a row holds: nothing yet, a frame, or a drop record."""

_KERNEL_BOOT = Path("/proc/sys/kernel/random/boot_id")
_MAX_DETAIL = 400


class OutboxFullError(UnavailableError):
    """A frame is over the budget; a smaller one, or the same after some rows are closed, may fit."""


class Trigger(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a part when its trigger arrives."""

    inspection_id: str
    part_id: str | None
    captured_at: float
    captured_monotonic: float


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """An open inspection, without its message.

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
    """How full the outbox is.

    Attributes:
        oldest_captured_at: None when it is empty.
        set_aside: How many damaged files this process has set aside.
    """

    rows: int
    bytes: int
    budget_bytes: int
    oldest_captured_at: float | None
    set_aside: int = 0


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


def clock_id() -> str:
    """Name the boot of this machine: values of `time.monotonic()` can be compared only under the same name.

    Where the kernel does not tell, each process has a clock of its own.
    """
    try:
        return _KERNEL_BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return str(uuid4())


def traceparent_of(inspection_id: str) -> str:
    """The W3C trace context of an inspection; its trace id is the inspection's own."""
    digits = UUID(inspection_id).hex
    return f"00-{digits}-{digits[16:]}-01"


def drop_message(row: Row, station: str, reason: DropReason, detail: str = "") -> bytes:
    """The encoded drop record of a row; it is short, so that it fits where a frame did not."""
    return pack(
        DropMessage(
            inspection_id=row.inspection_id,
            station=station,
            boot_id=row.boot_id,
            sequence=row.sequence,
            part_id=row.part_id,
            captured_at=row.captured_at,
            traceparent=traceparent_of(row.inspection_id),
            reason=reason,
            detail=detail[:_MAX_DETAIL],
        )
    )
