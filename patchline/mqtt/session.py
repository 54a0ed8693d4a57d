"""One connection, from its first byte to its last, served on the link's thread.

Each connection has a paho client of its own, so packet ids, half-sent packets and acknowledgements of an earlier one
cannot enter it, and paho never sends anything again by itself. paho's `loop` and its callbacks run on the link's
thread. Other threads only let paho queue packets: `publish`, `ack` and `disconnect` append to its queue and wake the
loop. paho holds a lock of `publish` while it calls `on_publish`, so results are reported after `loop` has returned.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, error_string
from paho.mqtt.enums import LogLevel, MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from patchline.mqtt import paho_client
from patchline.mqtt.delivery import AcknowledgementOrder, Connection, Delivery, no_acknowledgement
from patchline.mqtt.packets import Publication
from patchline.mqtt.send_window import SendWindow
from patchline.mqtt.settings import LinkSettings, Subscription, Will
from patchline.wire.errors import UnavailableError

_TICK_SECONDS = 1.0
"""How often keepalive and deadlines are checked when nothing happens."""
_ACKNOWLEDGEMENT_SECONDS = 120.0
"""A broker that answers pings but acknowledges nothing for so long is given up; its publications are sent again."""
_CLOSED_SILENTLY = "Unspecified error"
"""paho's word for a connection that the other side closed without a reason."""
_SHARE_OF_STOPPING = 0.7
"""The share of the time to stop that may be spent waiting for acknowledgements; the rest is for DISCONNECT."""


class Stopping:
    """A request to stop, and how long that may take."""

    def __init__(self) -> None:
        self.requested = threading.Event()
        self.acknowledged_by = 0.0
        self.deadline = 0.0

    def request(self, timeout_seconds: float) -> None:
        """Stop within so many seconds."""
        now = time.monotonic()
        self.acknowledged_by = now + _SHARE_OF_STOPPING * timeout_seconds
        self.deadline = now + timeout_seconds
        self.requested.set()


class Session:
    """One connection.

    Args:
        number: Which connection of the link this is, from 1.
        stopping: Says when to disconnect.
        on_delivery: Called on the link's thread with every message.
        on_connected: Called on the link's thread once the subscriptions are granted. Both must return at once.

    Raises:
        MisconfiguredError: A TLS file is missing, unreadable or expired.
    """

    def __init__(
        self,
        number: int,
        settings: LinkSettings,
        will: Will | None,
        subscriptions: Sequence[Subscription],
        stopping: Stopping,
        *,
        on_delivery: Callable[[Delivery], None],
        on_connected: Callable[[Connection], None],
    ) -> None:
        self._number, self._settings, self._subscriptions, self._stopping = number, settings, subscriptions, stopping
        self._on_delivery, self._on_connected = on_delivery, on_connected
        client = self._client = paho_client.build(settings, will)
        client.on_connect, client.on_subscribe, client.on_publish = self._connected, self._subscribed, self._published
        client.on_message, client.on_disconnect, client.on_log = self._delivered, self._disconnected, self._logged
        self._order = AcknowledgementOrder(lambda packet_id: client.ack(packet_id, 1))
        self._results: deque[tuple[int, ReasonCode]] = deque()
        self._terms: Connection | None = None
        self._socket_error = self._end = ""
        self._live = self._disconnecting = False
        self.window = SendWindow(settings.max_packet_bytes, partial(_send, client))

    def run(self) -> str:
        """Connect, serve, and return why the connection ended."""
        try:
            paho_client.connect(self._client, self._settings)
        except (OSError, UnicodeError) as error:
            self._ended(paho_client.connect_error(error, self._settings))
        try:
            self._serve()
        finally:
            self._close()
        return self._end

    def stop(self) -> None:
        """Wait for acknowledgements as long as `stopping` allows, then disconnect. Not for the link's thread."""
        self.window.shut()
        self.window.wait_idle(self._stopping.acknowledged_by - time.monotonic())
        self._disconnect("the link was stopped")

    def _serve(self) -> None:
        deadline = time.monotonic() + paho_client.CONNECT_TIMEOUT_SECONDS
        while self._client.socket() is not None and not self._overdue(deadline):
            self._stop_if_requested()
            code = self._client.loop(self._tick())
            while self._results:
                packet_id, reason = self._results.popleft()
                self.window.acknowledged(packet_id, reason.value, str(reason))
            if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
                self._ended(f"the connection cannot be served: {error_string(code)}")
                return

    def _tick(self) -> float:
        if not self._stopping.requested.is_set():
            return _TICK_SECONDS
        next_check = self._stopping.deadline if self._disconnecting else self._stopping.acknowledged_by
        return min(_TICK_SECONDS, max(0.0, next_check - time.monotonic()))

    def _overdue(self, deadline: float) -> bool:
        now = time.monotonic()
        if not self._live and now > deadline:
            self._ended("the broker did not answer CONNECT and SUBSCRIBE in time")
            return True
        if self.window.waited_seconds(writing=self._client.want_write()) > _ACKNOWLEDGEMENT_SECONDS:
            self._ended(f"the broker acknowledged nothing for {_ACKNOWLEDGEMENT_SECONDS:.0f} s")
            return True
        return self._stopping.requested.is_set() and now > self._stopping.deadline

    def _stop_if_requested(self) -> None:
        """Covers a stop that was requested on this thread, or before the socket was open."""
        if self._stopping.requested.is_set() and not self._disconnecting:
            self.window.shut()
            if not self._live or self.window.idle() or time.monotonic() > self._stopping.acknowledged_by:
                self._disconnecting = True
                self._disconnect("the link was stopped")

    def _disconnect(self, reason: str) -> None:
        self._ended(reason)
        self._client.disconnect()

    def _close(self) -> None:
        client = self._client
        connection = client.socket()
        if connection is not None:
            connection.close()
        self._order.close()
        self._ended("the connection ended")
        self.window.close(self._end)
        # Without its callbacks the client is in no reference cycle; its wake-up sockets are closed when it is deleted.
        client.on_connect = client.on_subscribe = client.on_publish = None
        client.on_message = client.on_disconnect = client.on_log = None

    def _ended(self, reason: str) -> None:
        """The first reason stays: paho reports one loss twice."""
        self._end = self._end or reason

    def _connected(
        self, client: Client, _userdata: Any, flags: ConnectFlags, code: ReasonCode, properties: Properties | None
    ) -> None:
        """CONNACK has arrived: subscribe; the connection is live once that is granted."""
        if code.is_failure:
            self._ended(paho_client.connack_error(code))
            return
        settings = self._settings
        self._terms = Connection(
            session=self._number,
            session_present=flags.session_present,
            window=min(settings.max_inflight, getattr(properties, "ReceiveMaximum", settings.max_inflight)),
            max_packet_bytes=min(
                settings.max_packet_bytes, getattr(properties, "MaximumPacketSize", settings.max_packet_bytes)
            ),
        )
        if self._subscriptions:
            client.subscribe([(wanted.topic_filter, int(wanted.qos)) for wanted in self._subscriptions])
        else:
            self._go_live(self._terms)

    def _subscribed(
        self, _client: Client, _userdata: Any, _packet_id: int, codes: Sequence[ReasonCode], _properties: Any
    ) -> None:
        """SUBACK has arrived: a refused subscription ends the connection."""
        answers = zip(self._subscriptions, codes, strict=False)
        refused = [f"{wanted.topic_filter} ({code})" for wanted, code in answers if code.is_failure]
        if len(codes) != len(self._subscriptions):
            self._disconnect(f"the broker answers {len(self._subscriptions)} subscriptions with {len(codes)} codes")
        elif refused:
            self._disconnect(f"the broker refuses the subscription to {', '.join(refused)}")
        elif self._terms is not None:
            self._go_live(self._terms)

    def _go_live(self, terms: Connection) -> None:
        self._live = True
        if not self._stopping.requested.is_set():
            self.window.open(terms.window, terms.max_packet_bytes)
        self._on_connected(terms)

    def _published(self, _client: Client, _userdata: Any, packet_id: int, code: ReasonCode, _properties: Any) -> None:
        """PUBACK has arrived, or a publication of QoS 0 has been written."""
        self._results.append((packet_id, code))

    def _delivered(self, _client: Client, _userdata: Any, message: MQTTMessage) -> None:
        """PUBLISH has arrived."""
        try:
            topic = message.topic
        except UnicodeDecodeError:
            self._disconnect("the broker delivered to a topic that is not UTF-8")
            return
        self._on_delivery(
            Delivery(
                topic=topic,
                payload=bytes(message.payload),
                content_type=getattr(message.properties, "ContentType", ""),
                correlation=getattr(message.properties, "CorrelationData", b""),
                retained=bool(message.retain),
                duplicate=bool(message.dup),
                received_at=time.monotonic(),
                user=tuple(getattr(message.properties, "UserProperty", ())),
                on_acknowledge=self._order.expect(message.mid) if message.qos else no_acknowledgement,
            )
        )

    def _disconnected(
        self, _client: Client, _userdata: Any, flags: DisconnectFlags, code: ReasonCode, _properties: Any
    ) -> None:
        """The connection has ended: on our request, the broker's, or because the network failed."""
        if flags.is_disconnect_packet_from_server:
            self._ended(f"the broker closed the connection: {code}")
        else:
            why = self._socket_error or ("" if code == _CLOSED_SILENTLY else str(code))
            self._ended(paho_client.loss(self._settings, why, live=self._live))

    def _logged(self, _client: Client, _userdata: Any, level: int, text: str) -> None:
        """Keep paho's last error of the socket; only its log tells a refused certificate from a pulled cable."""
        if level == LogLevel.MQTT_LOG_ERR:
            self._socket_error = text.removeprefix("failed to receive on socket: ")


def _send(client: Client, wanted: Publication) -> int:
    """Queue a publication and return its packet id."""
    sent = client.publish(wanted.topic, wanted.payload, wanted.qos, wanted.retain, properties=wanted.properties)
    if sent.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
        raise UnavailableError(f"the connection takes no publication: {error_string(sent.rc)}")
    return sent.mid
