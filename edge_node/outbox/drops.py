"""The record of a part that will never be judged."""

from uuid import UUID

from edge_node.outbox.rows import Row
from patchline.wire.messages import DropMessage, DropReason, pack

_MAX_DETAIL = 400


def traceparent_of(inspection_id: str) -> str:
    """The W3C trace context of an inspection; its trace id is the inspection's own."""
    digits = UUID(inspection_id).hex
    return f"00-{digits}-{digits[16:]}-01"


def drop_message(row: Row, station: str, reason: DropReason, detail: str = "") -> bytes:
    """The encoded drop record of a row; short, so that it fits where a frame did not."""
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
