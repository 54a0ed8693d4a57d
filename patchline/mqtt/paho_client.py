"""A paho client for one connection, and its failures as sentences for a person."""

import socket
import ssl
from functools import partial
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from patchline.mqtt.bounded_client import BoundedClient
from patchline.mqtt.packets import connect_properties, will_properties
from patchline.mqtt.settings import LinkSettings, Will
from patchline.mqtt.tls import context_of

CONNECT_TIMEOUT_SECONDS = 30.0
"""For TCP, TLS, CONNACK and SUBACK each; over 100 kB/s with a full send buffer 10 s were measured to be too short."""

_UNSENT_TIMEOUT_MILLISECONDS = 20_000
_SOCKET_OPTIONS = (
    (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
    (socket.IPPROTO_TCP, "TCP_NODELAY", 1),
    (socket.IPPROTO_TCP, "TCP_KEEPIDLE", 10),
    (socket.IPPROTO_TCP, "TCP_KEEPINTVL", 5),
    (socket.IPPROTO_TCP, "TCP_KEEPCNT", 3),
    (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", _UNSENT_TIMEOUT_MILLISECONDS),
)
_SELECT_LIMIT = 1024
"""FD_SETSIZE: the largest file number, plus one, that select() takes; paho's loop is built on it."""
_HAS_EXPIRED, _NOT_YET_VALID = 10, 9
"""X509_V_ERR_CERT_HAS_EXPIRED and X509_V_ERR_CERT_NOT_YET_VALID of OpenSSL."""

_ALERTS = {
    "CERTIFICATE_REVOKED": "our certificate: it has been revoked; ask for a new one (patchline provision renew)",
    "CERTIFICATE_EXPIRED": "our certificate: it has expired; ask for a new one (patchline provision renew)",
    "CERTIFICATE_REQUIRED": "to talk without one (certificate required); set broker.tls.certificate and broker.tls.key",
    "UNKNOWN_CA": "our certificate: no authority it trusts has signed it; take the one that this site's provision made",
    "BAD_CERTIFICATE": "our certificate: it cannot be verified",
    "UNSUPPORTED_CERTIFICATE": "our certificate: it is not made for a client",
    "PROTOCOL_VERSION": "our TLS version",
}
"""Part of the name OpenSSL gives to a TLS alert (RFC 8446, section 6.2) -> what the broker refuses."""

_UNKNOWN_CLIENT = ("not authorized", "bad user name or password")
"""paho's words for a name, password or certificate that the broker does not know."""


def build(settings: LinkSettings, will: Will | None) -> Client:
    """A client that has not connected yet. It never reconnects by itself, and only its `loop` writes to the socket.

    Raises:
        MisconfiguredError: A TLS file is missing, unreadable or expired.
    """
    modern = settings.protocol == "5"
    client = BoundedClient(
        CallbackAPIVersion.VERSION2,
        max_packet_bytes=settings.max_packet_bytes,
        client_id=settings.client_id,
        clean_session=None if modern else settings.clean_start,
        protocol=MQTTProtocolVersion.MQTTv5 if modern else MQTTProtocolVersion.MQTTv311,
        reconnect_on_failure=False,
        manual_ack=True,
    )
    client.connect_timeout = CONNECT_TIMEOUT_SECONDS
    client.max_inflight_messages_set(settings.max_inflight)
    if settings.username is not None:
        client.username_pw_set(settings.username, settings.password)
    if settings.tls is not None:
        client.tls_set_context(context_of(settings.tls))
    if will is not None:
        properties = will_properties(settings, will)
        client.will_set(will.topic, will.payload, will.qos, will.retain, properties=properties)
    client.on_socket_open = partial(_set_options, settings.unsent_buffer_bytes)
    client.on_socket_register_write = _leave_writing_to_the_loop
    return client


def connect(client: Client, settings: LinkSettings) -> None:
    """Open the socket, shake hands, and queue the CONNECT packet.

    Raises:
        OSError: The broker cannot be reached or trusted.
    """
    if settings.protocol == "5":
        client.connect(
            settings.host,
            settings.port,
            settings.keepalive_seconds,
            clean_start=settings.clean_start,
            properties=connect_properties(settings),
        )
    else:
        client.connect(settings.host, settings.port, settings.keepalive_seconds)
    opened = client.socket()
    if opened is not None and opened.fileno() >= _SELECT_LIMIT:
        opened.close()
        raise OSError(f"this process has {_SELECT_LIMIT} files open, and paho waits for no socket beyond that")


def connect_error(error: Exception, settings: LinkSettings) -> str:
    """Why a connection could not be opened."""
    place = f"{settings.host}:{settings.port}"
    match error:
        case ssl.SSLCertVerificationError():
            return _certificate_error(error, place)
        case ssl.SSLError():
            return alert(str(error)) or f"no TLS with {place}: {error.reason or error}"
        case ConnectionRefusedError():
            return f"nothing listens on {place}"
        case socket.gaierror():
            return f"the name {settings.host!r} cannot be resolved: {error.strerror}"
        case TimeoutError():
            return f"{place} does not answer"
        case _:
            torn = isinstance(error, ConnectionResetError) and settings.tls is not None
            advice = "; is it the port where the broker speaks TLS?" if torn else ""
            return f"{place} cannot be reached: {error}{advice}"


def connack_error(code: object) -> str:
    """Why the broker answered CONNECT with a refusal."""
    unknown = any(words in str(code).lower() for words in _UNKNOWN_CLIENT)
    advice = "; set broker.username and broker.password, or a certificate that it knows" if unknown else ""
    return f"the broker refuses the connection: {code}{advice}"


def loss(settings: LinkSettings, why: str, *, live: bool) -> str:
    """Why a connection was lost.

    Args:
        settings: The link's.
        why: What the socket or paho reported; empty where the other side closed without a word, as Mosquitto 2.0 does
            when another client takes over the client id.
        live: Whether the subscriptions had been granted.
    """
    if why:
        told = f"the connection was lost: {why}"
        return alert(why) or (told if live else f"{told}{_port_question(settings)}")
    if live:
        twin = f"another program came as client {settings.client_id!r}"
        return f"the other side closed the connection: the broker ended, or {twin}"
    return f"the other side closed the connection before it answered{_port_question(settings)}"


def alert(error_text: str) -> str:
    """What the broker refuses, if a TLS alert in the text of an error says it; else empty."""
    name = error_text.upper().replace(" ", "_")
    if "ALERT" not in name and "CERTIFICATE_REQUIRED" not in name:
        return ""
    refused = next((words for part, words in _ALERTS.items() if part in name), "")
    return f"the broker refuses {refused}" if refused else ""


def _certificate_error(error: ssl.SSLCertVerificationError, place: str) -> str:
    if error.verify_code == _HAS_EXPIRED:
        return f"the certificate of {place} has expired; renew it and restart the broker, or check this machine's clock"
    if error.verify_code == _NOT_YET_VALID:
        return f"the certificate of {place} is not valid yet; check this machine's clock"
    return f"the certificate of {place} is refused: {error.verify_message}"


def _port_question(settings: LinkSettings) -> str:
    spoken = "which we speak" if settings.tls is not None else "which we do not speak: broker.tls is not set"
    return f"; is port {settings.port} the broker's, and does it ask for TLS, {spoken}?"


def _set_options(unsent_bytes: int | None, _client: Client, _userdata: object, opened: Any) -> None:
    unsent = () if unsent_bytes is None else ((socket.IPPROTO_TCP, "TCP_NOTSENT_LOWAT", unsent_bytes),)
    for level, name, value in (*_SOCKET_OPTIONS, *unsent):
        option = getattr(socket, name, None)
        if option is not None:
            opened.setsockopt(level, option, value)


def _leave_writing_to_the_loop(_client: Client, _userdata: object, _socket: object) -> None:
    """Where this callback is set, paho queues packets in other threads and writes them in its loop only."""
