"""The station's links: one each for live parts, the backlog, gate commands and triggers."""

import logging
from collections.abc import Callable
from dataclasses import replace

from edge_node.capture.arrival_clock import ArrivalClock
from edge_node.control.status_publisher import StatusPublisher, last_will
from edge_node.delivery.inbox import Inbox
from edge_node.delivery.publisher import Publisher
from edge_node.metrics import EdgeMetrics
from edge_node.settings import EdgeSettings
from patchline.mqtt.delivery import Connection, Delivery
from patchline.mqtt.link import Link
from patchline.mqtt.settings import LinkSettings, Subscription, TlsSettings, client_id_of
from patchline.wire.channels import read_by
from patchline.wire.topics import Station, Topics

_log = logging.getLogger(__name__)

UNSENT_BYTES = 16_384
"""What the kernel may hold of a link beyond what the network takes, so that frames do not delay other links."""
_PLANT_WINDOW = 32
_TRIGGER_SESSION_SECONDS = 600
"""How long the broker keeps triggers for a station that is away."""


def link_settings(settings: EdgeSettings, *, suffix: str = "", max_inflight: int) -> LinkSettings:
    """A link's settings from the station's; its client id is the station, and the suffix."""
    broker = settings.broker
    tls = TlsSettings(**dict(broker.tls)) if broker.tls else None
    return LinkSettings(
        host=broker.host,
        port=broker.port,
        client_id=f"{client_id_of(settings.station, tls)}{suffix}",
        protocol=broker.protocol,
        username=broker.username,
        password=broker.password.get_secret_value() if broker.password else None,
        tls=tls,
        keepalive_seconds=broker.keepalive_seconds,
        max_inflight=max_inflight,
        max_packet_bytes=broker.max_packet_bytes,
        unsent_buffer_bytes=UNSENT_BYTES,
    )


def live_link(
    settings: EdgeSettings,
    *,
    boot_id: str,
    inbox: Inbox,
    publisher: Publisher,
    status_publisher: StatusPublisher,
    metrics: EdgeMetrics,
) -> Link:
    """The link that carries live parts up, and everything down."""
    station, topics = Station.parse(settings.station), Topics(settings.prefix)

    told = ""

    def connected(_: Connection) -> None:
        nonlocal told
        told = ""
        _log.info("station %s connected", station)
        metrics.connected.set(1)
        publisher.connected("frame")
        status_publisher.announce()

    def disconnected(reason: str) -> None:
        nonlocal told
        _log.log(logging.DEBUG if reason == told else logging.WARNING, "station %s disconnected: %s", station, reason)
        told = reason
        metrics.connected.set(0)
        publisher.disconnected("frame")

    return Link(
        link_settings(settings, max_inflight=settings.broker.max_inflight),
        will=last_will(station, topics, boot_id),
        subscriptions=_downlinks(station, topics),
        on_delivery=inbox.put,
        on_connected=connected,
        on_disconnected=disconnected,
    )


def _downlinks(station: Station, topics: Topics) -> list[Subscription]:
    filters = [topics.of(station, channel) for channel in read_by("station")]
    filters.append(topics.service_status(station.site))
    return [Subscription(topic_filter) for topic_filter in filters]


def backlog_link(settings: EdgeSettings, publisher: Publisher) -> Link:
    """The link that carries the backlog up; nothing comes down by it."""
    return Link(
        link_settings(settings, suffix="-backlog", max_inflight=settings.send.backlog_window),
        on_delivery=Delivery.acknowledge,
        on_connected=lambda _: publisher.connected("backlog"),
        on_disconnected=lambda _: publisher.disconnected("backlog"),
    )


def gate_link(settings: EdgeSettings) -> Link:
    """The link for gate commands, which never wait for frames; nothing comes down by it."""
    return Link(
        link_settings(settings, suffix="-gate", max_inflight=_PLANT_WINDOW),
        on_delivery=Delivery.acknowledge,
        on_connected=lambda _: None,
        on_disconnected=lambda reason: _log.debug("the link to the gate of %s is down: %s", settings.station, reason),
    )


def trigger_link(
    settings: EdgeSettings, topic: str, *, on_trigger: Callable[[Delivery], None], clock: ArrivalClock
) -> Link:
    """The link for trigger messages.

    Its session outlasts a connection: triggers that are not acknowledged come again after a restart of this program.
    """

    def disconnected(reason: str) -> None:
        _log.debug("the link for triggers of %s is down: %s", settings.station, reason)
        clock.disconnected()

    return Link(
        replace(
            link_settings(settings, suffix="-trigger", max_inflight=_PLANT_WINDOW),
            clean_start=False,
            session_expiry_seconds=_TRIGGER_SESSION_SECONDS,
        ),
        subscriptions=[Subscription(topic)],
        on_delivery=on_trigger,
        on_connected=lambda connection: clock.connected(session_kept=connection.session_present),
        on_disconnected=disconnected,
    )
