"""A paho client for one connection, and what its failures mean in words."""

import socket
import ssl
from functools import partial
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from patchline.mqtt import refusals
from patchline.mqtt.bounded_client import BoundedClient
from patchline.mqtt.packets import connect_properties, will_properties
from patchline.mqtt.settings import LinkSettings, Will
from patchline.mqtt.shaped_client import ShapedClient
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


def build(settings: LinkSettings, will: Will | None) -> Client:
    """A client that has not connected yet. It never reconnects, and writes only when told to by `loop_write`.

    Raises:
        MisconfiguredError: A TLS file is missing, unreadable or expired.
    """
    modern = settings.protocol == "5"
    kind = BoundedClient if settings.uplink is None else partial(ShapedClient, uplink=settings.uplink)
    client = kind(
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
    client.on_socket_open = _tune
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


def explain(error: Exception, settings: LinkSettings) -> str:
    """Why a connection could not be opened, for a person."""
    place = f"{settings.host}:{settings.port}"
    match error:
        case ssl.SSLCertVerificationError():
            return refusals.of_theirs(error, settings)
        case ssl.SSLError():
            return refusals.of_ours(str(error)) or f"no TLS with {place}: {error.reason or error}"
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


def _tune(_client: Client, _userdata: object, opened: Any) -> None:
    for level, name, value in _SOCKET_OPTIONS:
        option = getattr(socket, name, None)
        if option is not None:
            opened.setsockopt(level, option, value)


def _leave_writing_to_the_loop(_client: Client, _userdata: object, _socket: object) -> None:
    """With this callback set, paho queues packets and leaves the socket to our loop."""
