"""One connection, from its first byte to its last, all on one thread.

Every connection has a paho client of its own: packet ids, half-sent packets and acknowledgements of an earlier one
cannot leak into it, and paho has nothing left that it could send again behind our back. paho's callbacks and every call
into paho run on the network thread; other threads leave their wishes in the window and the receipts and wake it.
"""

import selectors
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import LogLevel
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from patchline.mqtt import paho_client, refusals
from patchline.mqtt.acknowledgement_order import AcknowledgementOrder
from patchline.mqtt.delivery import Connection, Delivery, nothing
from patchline.mqtt.send_window import SendWindow
from patchline.mqtt.settings import LinkSettings, Subscription, Will
from patchline.mqtt.uplink import pause_of
from patchline.mqtt.waker import Waker

_TICK_SECONDS = 1.0
"""How often keepalive and deadlines are looked at when nothing happens."""
_ACKNOWLEDGEMENT_SECONDS = 120.0
"""A broker that acknowledges nothing for so long never will, though it answers pings: what it holds is sent anew."""
_UNSPECIFIED = "Unspecified error"
"""What paho says of a connection that was closed without a word."""
_SHARE_OF_STOPPING = 0.7
"""How much of the time to stop may be spent on acknowledgements of what is on its way; the rest is for the goodbye."""


class Stopping:
    """A wish to stop, and how long that may take."""

    def __init__(self) -> None:
        self.wished = threading.Event()
        self.patience_ends = 0.0
        self.deadline = 0.0

    def wish(self, timeout_seconds: float) -> None:
        """Stop, within so many seconds."""
        now = time.monotonic()
        self.patience_ends = now + _SHARE_OF_STOPPING * timeout_seconds
        self.deadline = now + timeout_seconds
        self.wished.set()


class Session:
    """One connection.

    Args:
        number: Which connection of the link this is, from 1.
        stopping: Tells when to say goodbye.
        on_delivery: Called on the network thread with every message, as is `on_connected` once subscriptions are live;
            both must return at once.

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
        self._client = paho_client.build(settings, will)
        self._listen(self._client)
        self._waker = Waker()
        self._receipts = AcknowledgementOrder(self._waker.wake)
        self._terms: Connection | None = None
        self._socket_error = ""
        self._end = ""
        self._live = False
        self.window = SendWindow(settings.max_packet_bytes)

    def wake(self) -> None:
        """Make the network thread look at the window and at `stopping`; from any thread."""
        self._waker.wake()

    def run(self) -> str:
        """Connect, serve, and return why the connection ended."""
        try:
            if self._opened():
                self._serve()
        finally:
            self._close()
        return self._end

    def _opened(self) -> bool:
        try:
            paho_client.connect(self._client, self._settings)
        except (OSError, UnicodeError) as error:
            self._ended(paho_client.explain(error, self._settings))
            return False
        return True

    def _serve(self) -> None:
        deadline = time.monotonic() + paho_client.CONNECT_TIMEOUT_SECONDS
        with selectors.DefaultSelector() as selector:
            selector.register(self._waker.reader, selectors.EVENT_READ)
            registered: Any = None
            while (connection := self._client.socket()) is not None:
                if self._overdue(deadline):
                    return
                self._say_goodbye_if_wished()
                self._hand_over()
                pause = pause_of(self._settings.uplink, self._client, time.monotonic())
                writing = self._client.want_write() and not pause
                events = selectors.EVENT_READ | (selectors.EVENT_WRITE if writing else 0)
                if registered is None:
                    selector.register(connection, events)
                    registered = connection
                else:
                    selector.modify(connection, events)
                self._turn(connection, selector, self._tick(pause))

    def _turn(self, connection: Any, selector: selectors.BaseSelector, tick: float) -> None:
        """Wait for one thing to happen, and let paho deal with it."""
        decrypted = isinstance(connection, ssl.SSLSocket) and connection.pending() > 0
        happened = {key.fileobj: mask for key, mask in selector.select(0.0 if decrypted else tick)}
        if self._waker.reader in happened:
            self._waker.rest()
        mask = happened.get(connection, 0)
        if decrypted or mask & selectors.EVENT_READ:
            self._client.loop_read()
        if mask & selectors.EVENT_WRITE:
            self._client.loop_write()
        self._client.loop_misc()

    def _tick(self, pause: float) -> float:
        """How long to wait for something to happen, or for the uplink to take more."""
        longest = min(_TICK_SECONDS, pause or _TICK_SECONDS)
        if not self._stopping.wished.is_set():
            return longest
        next_look = self._stopping.deadline if self._end else self._stopping.patience_ends
        return min(longest, max(0.0, next_look - time.monotonic()))

    def _overdue(self, deadline: float) -> bool:
        now = time.monotonic()
        if not self._live and now > deadline:
            self._ended("the broker did not answer CONNECT and SUBSCRIBE in time")
            return True
        if self.window.waited_seconds(writing=self._client.want_write()) > _ACKNOWLEDGEMENT_SECONDS:
            self._ended(f"the broker acknowledged nothing for {_ACKNOWLEDGEMENT_SECONDS:.0f} s")
            return True
        return self._stopping.wished.is_set() and now > self._stopping.deadline

    def _say_goodbye_if_wished(self) -> None:
        if self._stopping.wished.is_set() and not self._end:
            self.window.shut()
            if not self._live or self.window.idle() or time.monotonic() > self._stopping.patience_ends:
                self._ended("the link was stopped")
                self._client.disconnect()

    def _hand_over(self) -> None:
        """Give paho the acknowledgements and publications that other threads left."""
        for packet_id in self._receipts.due():
            self._client.ack(packet_id, 1)
        while (request := self.window.take()) is not None:
            wanted = request.publication
            sent = self._client.publish(
                wanted.topic, wanted.payload, wanted.qos, wanted.retain, properties=wanted.properties
            )
            self.window.sent(sent.mid, request)

    def _close(self) -> None:
        self._live = False
        connection = self._client.socket()
        if connection is not None:
            connection.close()
        self._receipts.close()
        self._waker.close()
        self._ended("the connection ended")
        self.window.close(self._end)

    def _ended(self, reason: str) -> None:
        """The first reason stays: paho reports one loss twice."""
        self._end = self._end or reason

    def _listen(self, client: Client) -> None:
        client.on_connect = self._connected
        client.on_subscribe = self._subscribed
        client.on_publish = self._published
        client.on_message = self._delivered
        client.on_disconnect = self._disconnected
        client.on_log = self._noted

    def _connected(
        self, client: Client, _userdata: Any, flags: ConnectFlags, code: ReasonCode, properties: Properties | None
    ) -> None:
        """CONNACK has arrived: subscribe, and be live once that is granted."""
        if code.is_failure:
            self._ended(refusals.of_connect(code))
            return
        self._terms = Connection(
            session=self._number,
            session_present=flags.session_present,
            window=min(self._settings.max_inflight, getattr(properties, "ReceiveMaximum", self._settings.max_inflight)),
            max_packet_bytes=min(
                self._settings.max_packet_bytes,
                getattr(properties, "MaximumPacketSize", self._settings.max_packet_bytes),
            ),
        )
        if self._subscriptions:
            client.subscribe([(wanted.topic_filter, int(wanted.qos)) for wanted in self._subscriptions])
        else:
            self._go_live(self._terms)

    def _subscribed(
        self, client: Client, _userdata: Any, _packet_id: int, codes: Sequence[ReasonCode], _properties: Any
    ) -> None:
        """SUBACK has arrived: a link that cannot hear answers is no link."""
        answers = zip(self._subscriptions, codes, strict=False)
        refused = [f"{wanted.topic_filter} ({code})" for wanted, code in answers if code.is_failure]
        if len(codes) != len(self._subscriptions):
            self._ended(f"the broker answers {len(self._subscriptions)} subscriptions with {len(codes)} codes")
            client.disconnect()
        elif refused:
            self._ended(f"the broker refuses the subscription to {', '.join(refused)}")
            client.disconnect()
        elif self._terms is not None:
            self._go_live(self._terms)

    def _go_live(self, terms: Connection) -> None:
        self._live = True
        self.window.open(terms.window, terms.max_packet_bytes)
        self._on_connected(terms)

    def _published(self, _client: Client, _userdata: Any, packet_id: int, code: ReasonCode, _properties: Any) -> None:
        """PUBACK has arrived, or a publication of QoS 0 has left."""
        self.window.acknowledged(packet_id, code.value, str(code))

    def _delivered(self, client: Client, _userdata: Any, message: MQTTMessage) -> None:
        """PUBLISH has arrived."""
        try:
            topic = message.topic
        except UnicodeDecodeError:
            self._ended("the broker delivered to a topic that is not UTF-8")
            client.disconnect()
            return
        delivery = Delivery(
            topic=topic,
            payload=bytes(message.payload),
            content_type=getattr(message.properties, "ContentType", ""),
            correlation=getattr(message.properties, "CorrelationData", b""),
            retained=bool(message.retain),
            duplicate=bool(message.dup),
            received_at=time.monotonic(),
            user=tuple(getattr(message.properties, "UserProperty", ())),
            on_acknowledge=self._receipts.expect(message.mid) if message.qos else nothing,
        )
        self._on_delivery(delivery)

    def _disconnected(
        self, _client: Client, _userdata: Any, flags: DisconnectFlags, code: ReasonCode, _properties: Any
    ) -> None:
        """The connection is gone; by our wish, the broker's, or the network's."""
        if flags.is_disconnect_packet_from_server:
            self._ended(f"the broker closed the connection: {code}")
        elif code == _UNSPECIFIED and not self._socket_error:
            self._ended(refusals.of_silence(self._settings, live=self._live))
        else:
            lost = refusals.of_loss(self._settings, self._socket_error or str(code), live=self._live)
            self._ended(refusals.of_ours(self._socket_error) or lost)

    def _noted(self, _client: Client, _userdata: Any, level: int, text: str) -> None:
        """Keep paho's last word about the socket; nothing else tells a refused certificate from a pulled cable."""
        if level == LogLevel.MQTT_LOG_ERR:
            self._socket_error = text.removeprefix("failed to receive on socket: ")
