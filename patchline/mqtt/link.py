"""The link: a connection to the broker that is opened again whenever it ends, on a thread of its own."""

import math
import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Literal

from patchline.mqtt.delivery import Acknowledged, Connection, Delivery
from patchline.mqtt.packets import publication
from patchline.mqtt.send_window import Request
from patchline.mqtt.session import Session, Stopping
from patchline.mqtt.settings import LinkSettings, Subscription, Will
from patchline.mqtt.tls import context_of
from patchline.runtime.backoff import failures_after, full_jitter
from patchline.wire.errors import MisconfiguredError, UnavailableError

_JOIN_SECONDS = 0.5
"""How much longer than the deadline a stop waits for the thread, which still reports lost publications."""


class Link:
    """A connection to the broker, opened again whenever it is lost, each with its subscriptions and its own window.

    All callbacks run on the link's thread and must return at once. An exception in one is a bug: it ends the thread
    through `threading.excepthook`.

    Args:
        will: What the broker publishes if the connection ends without DISCONNECT.
        subscriptions: Made on every connection; one that the broker refuses ends the connection.
        on_delivery: Called with every message; the owner calls `Delivery.acknowledge`. Brokers deliver more than
            `max_inflight`: an owner whose queue is full acknowledges and drops, and the edge sends it again.
        on_connected: Called when the subscriptions of a new connection are granted and publications are possible;
            messages that the broker kept for us may have been delivered just before.
        on_disconnected: Called with the reason, for a person, when a connection has ended and after every attempt that
            failed. The results of its publications have been reported before, with the same reason.
    """

    def __init__(
        self,
        settings: LinkSettings,
        *,
        will: Will | None = None,
        subscriptions: Sequence[Subscription] = (),
        on_delivery: Callable[[Delivery], None],
        on_connected: Callable[[Connection], None],
        on_disconnected: Callable[[str], None],
    ) -> None:
        self._settings, self._will, self._subscriptions = settings, will, tuple(subscriptions)
        self._on_delivery, self._on_connected, self._on_disconnected = on_delivery, on_connected, on_disconnected
        self._thread = threading.Thread(target=self._run, name=f"link-{settings.client_id}", daemon=True)
        self._connected = threading.Event()
        self._stopping = Stopping()
        self._session: Session | None = None
        self._live_since = math.inf
        self._jitter = random.Random()  # noqa: S311 - spreads clients in time, guards nothing

    def start(self) -> None:
        """Start connecting; once in a link's life.

        Raises:
            MisconfiguredError: A TLS file is missing, unreadable or expired.
        """
        if self._settings.tls is not None:
            context_of(self._settings.tls)
        self._thread.start()

    def stop(self, timeout_seconds: float) -> None:
        """Refuse further publications, wait for acknowledgements, send DISCONNECT, and end the thread.

        The broker does not publish the will then. What is not acknowledged in time is reported as not accepted. Only an
        attempt to connect can take longer than the timeout; it ends without a connection. Called from a callback, it
        returns at once.
        """
        self._stopping.request(timeout_seconds)
        if not self._thread.is_alive() or threading.current_thread() is self._thread:
            return
        session = self._session
        if session is not None:
            session.stop()
        self._thread.join(max(0.0, self._stopping.deadline - time.monotonic()) + _JOIN_SECONDS)

    def wait_connected(self, timeout_seconds: float) -> bool:
        """Wait until the subscriptions are granted and publications possible; whether they are."""
        return self._connected.wait(timeout_seconds)

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: Literal[0, 1] = 1,
        retain: bool = False,
        content_type: str = "",
        correlation: bytes = b"",
        user: Sequence[tuple[str, str]] = (),
        expiry_seconds: int = 0,
        on_done: Callable[[Acknowledged], None] | None = None,
    ) -> None:
        """Send a message now, from any thread; nothing is kept for later.

        Args:
            topic: Without wildcards.
            payload: An empty retained one removes what was retained.
            qos: 1, or 0 for what may get lost.
            retain: Whether the broker keeps it for later subscribers.
            content_type: An MQTT 5 property, as are the next two; MQTT 3.1.1 has none and drops them.
            correlation: Which inspection it belongs to.
            user: Further names and values.
            expiry_seconds: On MQTT 5, the broker discards the message after this time; 0 for never.
            on_done: Called on the link's thread, once for every call that returned, with the result.

        Raises:
            UnavailableError: The link is not connected, or as many publications as it may carry await their
                acknowledgement.
            TooLargeError: The packet is over our limit or the broker's; a `MisconfiguredError`.
            MisconfiguredError: Nothing can be published to such a topic, or a property is too long.
        """
        wanted = publication(
            self._settings,
            topic,
            payload,
            qos=qos,
            retain=retain,
            content_type=content_type,
            correlation=correlation,
            user=user,
            expiry_seconds=expiry_seconds,
        )
        session = self._session
        if session is None:
            raise UnavailableError("the link is not connected")
        session.window.offer(Request(wanted, on_done))

    def _run(self) -> None:
        failures = number = 0
        while not self._stopping.requested.is_set():
            number += 1
            self._live_since = math.inf
            reason = self._connect_once(number)
            self._on_disconnected(reason)
            failures = failures_after(failures, time.monotonic() - self._live_since)
            self._stopping.requested.wait(full_jitter(failures - 1, self._jitter))

    def _connect_once(self, number: int) -> str:
        try:
            session = Session(
                number,
                self._settings,
                self._will,
                self._subscriptions,
                self._stopping,
                on_delivery=self._on_delivery,
                on_connected=self._welcome,
            )
        except MisconfiguredError as error:
            return str(error)
        self._session = session
        try:
            return session.run()
        finally:
            self._session = None
            self._connected.clear()

    def _welcome(self, connection: Connection) -> None:
        self._live_since = time.monotonic()
        self._connected.set()
        self._on_connected(connection)
