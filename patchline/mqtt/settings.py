"""The settings of a link: where the broker is, who we are, how much may be unacknowledged."""

import ipaddress
import re
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Literal

from patchline.wire.errors import MisconfiguredError
from patchline.wire.messages import MAX_MESSAGE_BYTES
from patchline.wire.topics import check_filter, check_topic

Protocol = Literal["5", "3.1.1"]
TlsVersion = Literal["1.2", "1.3"]

_LARGEST_UINT16 = 65_535
_LARGEST_PACKET_BYTES = 268_435_455
_SMALLEST_UNSENT_BYTES = 1024
_CLIENT_ID_DIGITS = 16
_URL_OR_PORT = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*://)?(?:[^@/]*@)?(\[[^\]]*\]|[^:/]*)(?::\d*)?(?:/.*)?", re.ASCII)
_HOST = re.compile(r"[^\s:/\[\]@?#]{1,253}")


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
        unsent_buffer_bytes: How many bytes the kernel may buffer before it sends them (Linux: TCP_NOTSENT_LOWAT). On a
            thin line a small buffer lets other connections send between the packets of this one. None: no limit.
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
    unsent_buffer_bytes: int | None = None

    def __post_init__(self) -> None:
        check_host(self.host)
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
        if self.unsent_buffer_bytes is not None:
            _within("unsent_buffer_bytes", self.unsent_buffer_bytes, _SMALLEST_UNSENT_BYTES, 2**31 - 1)


@dataclass(frozen=True, kw_only=True)
class Will:
    """What the broker publishes for us when the connection ends without DISCONNECT.

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


def client_id_of(name: str, tls: TlsSettings | None) -> str:
    """A client id that no other client of the broker can know.

    A connection with a client id in use ends the earlier connection, and access lists do not prevent that. Where we
    have a private key, its digest makes the id secret. The id stays the same after a restart, so that a new connection
    replaces a broken one of ours, and its will.

    A key that cannot be read leaves the bare name; the link itself reports what is wrong with the key.
    """
    path = tls and (tls.key or tls.certificate)
    if not path:
        return name
    try:
        secret = path.read_bytes()
    except OSError:
        return name
    return f"{name}-{sha256(b'patchline client id' + secret).hexdigest()[:_CLIENT_ID_DIGITS]}"


def check_host(host: str) -> None:
    """Make sure that a broker's host is a name or an address, and nothing more.

    Raises:
        MisconfiguredError: It is empty, or holds a scheme, a port, a user or brackets.
    """
    if not host:
        raise MisconfiguredError("the broker's host is empty")
    if _HOST.fullmatch(host) or _is_ipv6(host):
        return
    found = _URL_OR_PORT.fullmatch(host)
    inner = found[1].strip("[]") if found else ""
    meant = inner if _HOST.fullmatch(inner) or _is_ipv6(inner) else ""
    remedy = f"write host = {meant!r}, and the port as port" if meant else "write the host name or address alone"
    raise MisconfiguredError(f"{host!r} is not a host name or address", where="broker.host", remedy=remedy)


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _within(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise MisconfiguredError(f"{name} is {value}", remedy=f"use {low} to {high}")
