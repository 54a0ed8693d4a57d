"""PUBLISH, CONNECT and will packets, in the form paho needs."""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from paho.mqtt import MQTTException
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from patchline.mqtt.settings import LinkSettings, Will
from patchline.wire.errors import MisconfiguredError
from patchline.wire.topics import check_topic

_BITS_A_LENGTH_BYTE = 7
_new: Callable[[int], Properties] = Properties


@dataclass(frozen=True)
class Publication:
    """A PUBLISH packet before it has a packet id.

    Attributes:
        properties: MQTT 5 properties; None on MQTT 3.1.1.
        packet_bytes: The size of the whole packet on the wire.
    """

    topic: str
    payload: bytes
    qos: Literal[0, 1]
    retain: bool
    properties: Properties | None
    packet_bytes: int


def publication(
    settings: LinkSettings,
    topic: str,
    payload: bytes,
    *,
    qos: Literal[0, 1],
    retain: bool,
    content_type: str,
    correlation: bytes,
    user: Sequence[tuple[str, str]],
    expiry_seconds: int = 0,
) -> Publication:
    """Describe a PUBLISH packet and compute its size.

    Raises:
        MisconfiguredError: The topic cannot be published to, or a property does not fit its packet.
    """
    check_topic(topic)
    properties: Properties | None = None
    body_bytes = 2 + len(topic.encode()) + (2 if qos else 0) + len(payload)
    if settings.protocol == "5":
        try:
            properties = _publish_properties(content_type, correlation, user, expiry_seconds)
            body_bytes += len(properties.pack())  # type: ignore[no-untyped-call]  # paho leaves it untyped
        except (ValueError, struct.error, MQTTException) as error:
            raise MisconfiguredError(f"a property does not fit an MQTT packet: {error}", where=topic) from error
    length_bytes = max(1, -(-body_bytes.bit_length() // _BITS_A_LENGTH_BYTE))
    return Publication(topic, payload, qos, retain, properties, 1 + length_bytes + body_bytes)


def _publish_properties(
    content_type: str, correlation: bytes, user: Sequence[tuple[str, str]], expiry_seconds: int
) -> Properties:
    properties = _new(PacketTypes.PUBLISH)
    if expiry_seconds:
        properties.MessageExpiryInterval = expiry_seconds
    if content_type:
        properties.ContentType = content_type
    if correlation:
        properties.CorrelationData = correlation
    if user:
        properties.UserProperty = list(user)
    return properties


def connect_properties(settings: LinkSettings) -> Properties:
    """The properties of CONNECT (MQTT 5)."""
    properties = _new(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = settings.session_expiry_seconds
    properties.ReceiveMaximum = settings.max_inflight
    properties.MaximumPacketSize = settings.max_packet_bytes
    return properties


def will_properties(settings: LinkSettings, will: Will) -> Properties | None:
    """The properties of the will; MQTT 3.1.1 has none."""
    if settings.protocol != "5" or not will.content_type:
        return None
    properties = _new(PacketTypes.WILLMESSAGE)
    properties.ContentType = will.content_type
    return properties
