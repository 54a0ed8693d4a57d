"""What a link is told: where the broker is, who we are, how much may be on the way."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from patchline.mqtt.topic_names import check_filter, check_topic
from patchline.mqtt.uplink import Uplink
from patchline.wire.errors import MisconfiguredError
from patchline.wire.messages import MAX_MESSAGE_BYTES

Protocol = Literal["5", "3.1.1"]
TlsVersion = Literal["1.2", "1.3"]

_LARGEST_UINT16 = 65_535
_LARGEST_PACKET_BYTES = 268_435_455


@dataclass(frozen=True, kw_only=True)
class TlsSettings:
    """How the connection is encrypted, and who it trusts.

    Attributes:
        ca: PEM file of the authorities that may sign the broker's certificate.
        certificate: PEM file of our own certificate, where the broker asks for one.
        key: PEM file of its private key; None where the certificate's file holds it too.
        minimum_version: The oldest TLS version spoken.
    """

    ca: Path
    certificate: Path | None = None
    key: Path | None = None
    minimum_version: TlsVersion = "1.2"

    def __post_init__(self) -> None:
        if self.key is not None and self.certificate is None:
            raise MisconfiguredError("a TLS key is given without its certificate", where=str(self.key))


@dataclass(frozen=True, kw_only=True)
class LinkSettings:
    """A link's settings.

    Attributes:
        client_id: Unique at the broker; a second connection with the same one throws out the first.
        protocol: MQTT 5, or 3.1.1 for brokers that know nothing newer (there, every PUBACK counts as accepted).
        keepalive_seconds: A silent connection is given up after at most twice this time.
        max_inflight: How many publications may await their acknowledgement; the broker's own limit is obeyed where it
            is lower. On MQTT 5 also the Receive Maximum: how many unacknowledged deliveries we ask the broker to stop
            at. Measured, Mosquitto 2.0.11 keeps to it for the first burst only.
        max_packet_bytes: The largest MQTT packet sent and, on MQTT 5, received; the broker's own limit counts too.
        session_expiry_seconds: How long the broker keeps the session of an absent client (MQTT 5).
        clean_start: Whether every connection begins with an empty session.
        uplink: Holds back what is written, as a thin line would; one for all links of a station. None shapes nothing.
    """

    host: str = "127.0.0.1"
    port: int = 1883
    client_id: str
    protocol: Protocol = "5"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: TlsSettings | None = None
    keepalive_seconds: int = 15
    max_inflight: int = 20
    max_packet_bytes: int = MAX_MESSAGE_BYTES
    session_expiry_seconds: int = 0
    clean_start: bool = True
    uplink: Uplink | None = None

    def __post_init__(self) -> None:
        if not self.host:
            raise MisconfiguredError("the broker's host is empty")
        if not self.client_id:
            raise MisconfiguredError("the client id is empty", remedy="give each program its own")
        if self.protocol not in ("5", "3.1.1"):
            raise MisconfiguredError(f"MQTT {self.protocol!r} is not spoken here", remedy="use 5 or 3.1.1")
        if self.password is not None and self.username is None:
            raise MisconfiguredError("a password is given without a user name")
        _within("port", self.port, 1, _LARGEST_UINT16)
        _within("keepalive_seconds", self.keepalive_seconds, 1, _LARGEST_UINT16)
        _within("max_inflight", self.max_inflight, 1, _LARGEST_UINT16)
        _within("max_packet_bytes", self.max_packet_bytes, 256, _LARGEST_PACKET_BYTES)
        _within("session_expiry_seconds", self.session_expiry_seconds, 0, 2**32 - 1)


@dataclass(frozen=True, kw_only=True)
class Will:
    """What the broker publishes for us when the connection ends without a goodbye.

    Raises:
        MisconfiguredError: Nothing can be published to the topic.
    """

    topic: str
    payload: bytes
    qos: Literal[0, 1] = 1
    retain: bool = True
    content_type: str = ""

    def __post_init__(self) -> None:
        check_topic(self.topic)


@dataclass(frozen=True)
class Subscription:
    """A topic filter the link subscribes to on every connection.

    Raises:
        MisconfiguredError: No broker would take the filter.
    """

    topic_filter: str
    qos: Literal[0, 1] = 1

    def __post_init__(self) -> None:
        check_filter(self.topic_filter)


def _within(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise MisconfiguredError(f"{name} is {value}", remedy=f"use {low} to {high}")
