"""Which part a message is about; a message that does not say it gets an identity made from its bytes."""

import uuid
from typing import TypedDict

from patchline.wire.messages import EdgeMessage
from patchline.wire.topics import Station


class Identity(TypedDict):
    """The fields by which every message says which part it is about."""

    inspection_id: str
    station: str
    boot_id: str
    sequence: int
    part_id: str
    captured_at: float
    traceparent: str


def identity_of(message: EdgeMessage) -> Identity:
    """Who a message says it is about."""
    return Identity(
        inspection_id=message.inspection_id,
        station=message.station,
        boot_id=message.boot_id,
        sequence=message.sequence,
        part_id=message.part_id,
        captured_at=message.captured_at,
        traceparent=message.traceparent,
    )


def identity_by_content(station: Station, received_sha256: str) -> Identity:
    """An identity for bytes that do not say whose they are: a UUID of version 8 (RFC 9562), made from their digest."""
    digits = int(received_sha256[:32], 16)
    version_and_variant = (0x8 << 76) | (0x2 << 62)
    number = (digits & ~((0xF << 76) | (0x3 << 62))) | version_and_variant
    return Identity(
        inspection_id=str(uuid.UUID(int=number)),
        station=str(station),
        boot_id="",
        sequence=0,
        part_id="",
        captured_at=0.0,
        traceparent="",
    )
