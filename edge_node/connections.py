"""The station's two links: one for what is live, one for the backlog while there is one."""

import logging

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
        subscriptions=_downlinks(settings, station, topics),
        on_delivery=inbox.put,
        on_connected=connected,
        on_disconnected=disconnected,
    )


def _downlinks(settings: EdgeSettings, station: Station, topics: Topics) -> list[Subscription]:
    filters = [topics.of(station, channel) for channel in read_by("station")]
    filters.append(topics.service_status(station.site))
    if settings.trigger.topic:
        filters.append(settings.trigger.topic)
    return [Subscription(topic_filter) for topic_filter in filters]


def backlog_link(settings: EdgeSettings, publisher: Publisher) -> Link:
    """The link that carries the backlog up; nothing comes down by it."""
    return Link(
        link_settings(settings, suffix="-backlog", max_inflight=settings.send.backlog_window),
        on_delivery=Delivery.acknowledge,
        on_connected=lambda _: publisher.connected("backlog"),
        on_disconnected=lambda _: publisher.disconnected("backlog"),
    )
