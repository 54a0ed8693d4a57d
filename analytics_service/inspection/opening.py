"""Opening: a delivery becomes a frame, a drop or a damaged message.

Nothing an edge node says about itself is believed before it is checked: the topic (which the broker's access list
guards) must name the station of the envelope, and the payload must have the envelope's digest.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from analytics_service.inspection.identity import Identity, identity_by_content, identity_of
from patchline.mqtt.delivery import Delivery
from patchline.wire.channels import ChannelName
from patchline.wire.errors import UnreadableError
from patchline.wire.messages import (
    MAX_MESSAGE_BYTES,
    DropMessage,
    EdgeMessage,
    FrameMessage,
    check_payload,
    sha256_of,
    unpack,
)
from patchline.wire.topics import Station, Topics

log = logging.getLogger(__name__)

CHANNELS: tuple[ChannelName, ...] = ("frame", "backlog")
"""The channels on which edge nodes send parts."""


@dataclass(frozen=True, slots=True)
class Frame:
    """An intact message with a part's payload.

    Attributes:
        received_sha256: Digest of the whole message as received.
        historical: It came over `backlog`: no gate waits for its verdict.
    """

    delivery: Delivery
    station: Station
    message: FrameMessage
    identity: Identity
    received_sha256: str
    historical: bool


@dataclass(frozen=True, slots=True)
class Drop:
    """An intact message that says why a part will not be judged."""

    delivery: Delivery
    station: Station
    message: DropMessage
    identity: Identity
    received_sha256: str


@dataclass(frozen=True, slots=True)
class Damaged:
    """A message that cannot be read, or whose payload is not what its station sent. It ends no part.

    Attributes:
        identity: The part it claims to be about; made from its digest where it does not say.
        identified: The envelope could be read and belongs to the topic's station.
    """

    delivery: Delivery
    station: Station
    error: UnreadableError
    identity: Identity
    identified: bool
    received_sha256: str
    historical: bool


Opened: TypeAlias = Frame | Drop | Damaged


def open_all(deliveries: Sequence[Delivery], topics: Topics) -> list[Opened]:
    """What a batch of deliveries holds, in its order; without those on a topic that is no station's."""
    opened = []
    for delivery in deliveries:
        try:
            station, channel = topics.parse(delivery.topic)
        except UnreadableError as error:
            log.warning("ignored a message on %s: %s", delivery.topic, error)
            continue
        opened.append(open_delivery(delivery, station, channel))
    return opened


def open_delivery(delivery: Delivery, station: Station, channel: str, *, limit: int = MAX_MESSAGE_BYTES) -> Opened:
    """What a delivery holds; whatever is wrong with it makes it `Damaged`.

    Codes of the error: nothing is inspected on this channel (`topic`), the message is too long (`size`), not an
    envelope (`envelope`), of another station than the topic's (`station`), or its payload was damaged (`sha256`).
    """
    received_sha256, historical = sha256_of(delivery.payload), channel == "backlog"
    try:
        message = _envelope(delivery.payload, station, channel, limit)
    except UnreadableError as error:
        identity = identity_by_content(station, received_sha256)
        return Damaged(delivery, station, error, identity, False, received_sha256, historical)
    identity = identity_of(message)
    if isinstance(message, DropMessage):
        return Drop(delivery, station, message, identity, received_sha256)
    try:
        check_payload(message)
    except UnreadableError as error:
        return Damaged(delivery, station, error, identity, True, received_sha256, historical)
    return Frame(delivery, station, message, identity, received_sha256, historical)


def _envelope(payload: bytes, station: Station, channel: str, limit: int) -> EdgeMessage:
    if channel not in CHANNELS:
        raise UnreadableError(f"nothing is inspected on channel {channel!r}", code="topic")
    message: EdgeMessage = unpack(payload, EdgeMessage, limit=limit)
    if message.station != str(station):
        raise UnreadableError(f"the envelope names station {message.station!r}, the topic {station}", code="station")
    return message
