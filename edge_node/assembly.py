"""Builds an edge node's parts from its settings; nothing runs yet."""

import logging
import random
import threading
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from uuid import uuid4

from edge_node.announcer import Announcer, last_will
from edge_node.capture import Capture
from edge_node.clock import clock_id
from edge_node.gatekeeper import Gatekeeper, GatePolicy
from edge_node.gates import GATES
from edge_node.gates.protocol import Gate
from edge_node.inbox import Inbox
from edge_node.metrics import EdgeMetrics
from edge_node.mode import Mode
from edge_node.orders import Orders
from edge_node.outbox import Outbox
from edge_node.profile_cache import ProfileCache
from edge_node.publisher import Publisher
from edge_node.receipts import Receipts
from edge_node.schedule import Channel, Schedule, SchedulePolicy
from edge_node.services import Services
from edge_node.settings import EdgeSettings, GateTable
from edge_node.sources import SOURCES
from edge_node.sources.protocol import Source
from edge_node.sources.triggers import MessageTriggers, Takt, Triggers, read_trigger
from wire_contract.link.delivery import Connection, Delivery
from wire_contract.link.link import Link
from wire_contract.link.settings import LinkSettings, Subscription, TlsSettings
from wire_contract.topics import Channel as AnyChannel
from wire_contract.topics import Station, Topics

_log = logging.getLogger(__name__)

_DOWNLINKS: tuple[AnyChannel, ...] = ("verdict", "profile", "asset", "command")


@dataclass(frozen=True, slots=True)
class Stops:
    """First the capture stops, then, once it had time to drain, the rest."""

    capture: threading.Event
    rest: threading.Event


@dataclass(frozen=True, slots=True)
class Node:
    """The parts of one edge node."""

    station: Station
    boot_id: str
    clock_id: str
    metrics: EdgeMetrics
    outbox: Outbox
    mode: Mode
    announcer: Announcer
    publisher: Publisher
    inbox: Inbox
    link: Link
    gatekeeper: Gatekeeper
    orders: Orders
    capture: Capture


def assemble(settings: EdgeSettings, stops: Stops) -> Node:
    """Build everything, from the outbox outwards.

    Raises:
        MisconfiguredError: A setting, or a file it names, is wrong.
        UnavailableError: The outbox's disk is full or failing.
    """
    station, topics = Station.parse(settings.station), Topics(settings.prefix)
    boot_id, clock = str(uuid4()), clock_id()
    triggers = build_triggers(settings, stops.capture)
    source = build_source(settings, triggers)
    metrics, mode = EdgeMetrics(), Mode()
    outbox = Outbox(
        settings.outbox.path,
        str(station),
        boot_id=boot_id,
        clock_id=clock,
        budget_bytes=settings.outbox.budget_bytes,
        journal_lines=settings.outbox.journal_lines,
    )
    metrics.watch_outbox(lambda: outbox.state)
    cache = ProfileCache(settings.profile.directory, str(station), max_asset_bytes=settings.profile.max_asset_bytes)
    announcer = Announcer(station, topics, boot_id=boot_id, version=_version(), mode=mode, cache=cache, outbox=outbox)
    publisher = _publisher(settings, station, topics, outbox, metrics)
    inbox = Inbox(metrics)
    link = _live_link(
        settings,
        station=station,
        topics=topics,
        boot_id=boot_id,
        inbox=inbox,
        publisher=publisher,
        announcer=announcer,
        metrics=metrics,
    )
    publisher.attach(link)
    policy = GatePolicy(settings.gate.deadline_seconds, settings.gate.default, settings.gate.uncalibrated)
    gatekeeper = Gatekeeper(build_gate(settings, link), outbox, str(station), policy, metrics)
    orders = Orders(str(station), mode, cache, announcer, metrics)
    capture = Capture(
        source,
        outbox=outbox,
        mode=mode,
        gatekeeper=gatekeeper,
        publisher=publisher,
        station=str(station),
        metrics=metrics,
        stop=stops.capture,
        slowdown=settings.slowdown,
    )
    inbox.on(
        "verdict",
        Receipts(outbox, publisher, gatekeeper, station=str(station), boot_id=boot_id, metrics=metrics).receive,
    )
    inbox.on("status", Services(publisher).receive)
    inbox.on("profile", orders.receive_profile)
    inbox.on("asset", orders.receive_asset)
    inbox.on("command", orders.receive_command)
    if isinstance(triggers, MessageTriggers) and settings.trigger.topic:
        inbox.on(settings.trigger.topic, partial(_trigger, triggers, capture))
    return Node(
        station=station,
        boot_id=boot_id,
        clock_id=clock,
        metrics=metrics,
        outbox=outbox,
        mode=mode,
        announcer=announcer,
        publisher=publisher,
        inbox=inbox,
        link=link,
        gatekeeper=gatekeeper,
        orders=orders,
        capture=capture,
    )


def build_triggers(settings: EdgeSettings, stop: threading.Event) -> Triggers:
    """What tells the source that a part is there."""
    if settings.trigger.topic:
        return MessageTriggers(stop)
    return Takt(settings.trigger.takt_seconds, stop, delay_seconds=settings.trigger.delay_seconds)


def build_source(settings: EdgeSettings, triggers: Triggers) -> Source:
    """The source of pictures; raises `MisconfiguredError` when what it names is not there."""
    arguments = {name: value for name, value in settings.source if name != "kind"}
    return SOURCES[settings.source.kind](triggers=triggers, **arguments)


def build_gate(settings: EdgeSettings, link: Link) -> Gate:
    """The gate; raises `MisconfiguredError` when it cannot be used."""
    shared = {"kind", *GateTable.model_fields}
    arguments = {name: value for name, value in settings.gate if name not in shared}
    if settings.gate.kind == "mqtt":
        arguments["link"] = link
    return GATES[settings.gate.kind](**arguments)


def link_settings(settings: EdgeSettings, client_id: str, *, max_inflight: int) -> LinkSettings:
    """A link's settings from the station's."""
    broker = settings.broker
    return LinkSettings(
        host=broker.host,
        port=broker.port,
        client_id=client_id,
        protocol=broker.protocol,
        username=broker.username,
        password=broker.password.get_secret_value() if broker.password else None,
        tls=TlsSettings(**dict(broker.tls)) if broker.tls else None,
        keepalive_seconds=broker.keepalive_seconds,
        max_inflight=max_inflight,
        max_packet_bytes=broker.max_packet_bytes,
    )


def _publisher(
    settings: EdgeSettings, station: Station, topics: Topics, outbox: Outbox, metrics: EdgeMetrics
) -> Publisher:
    send = settings.send
    policy = SchedulePolicy(
        live_seconds=send.live_seconds or settings.gate.deadline_seconds,
        first_resend_seconds=send.first_resend_seconds,
        backlog_window=send.backlog_window,
        backlog_bytes_per_second=send.backlog_bytes_per_second,
    )

    def open_backlog() -> Link:
        return Link(
            link_settings(settings, f"{station}-backlog", max_inflight=send.backlog_window),
            on_delivery=Delivery.acknowledge,
            on_connected=lambda _: publisher.connected("backlog"),
            on_disconnected=lambda _: publisher.disconnected("backlog"),
        )

    schedule = Schedule(policy, random.Random())  # noqa: S311  spreads resends in time, guards nothing
    publisher = Publisher(outbox, schedule, topics=topics, station=station, metrics=metrics, open_backlog=open_backlog)
    return publisher


def _live_link(
    settings: EdgeSettings,
    *,
    station: Station,
    topics: Topics,
    boot_id: str,
    inbox: Inbox,
    publisher: Publisher,
    announcer: Announcer,
    metrics: EdgeMetrics,
) -> Link:
    filters = [topics.of(station, channel) for channel in _DOWNLINKS]
    filters.append(topics.service_status(station.site))
    if settings.trigger.topic:
        filters.append(settings.trigger.topic)
    channel: Channel = "frame"

    def connected(_: Connection) -> None:
        _log.info("station %s connected", station)
        metrics.connected.set(1)
        publisher.connected(channel)
        announcer.announce()

    def disconnected(reason: str) -> None:
        _log.warning("station %s disconnected: %s", station, reason)
        metrics.connected.set(0)
        publisher.disconnected(channel)

    return Link(
        link_settings(settings, str(station), max_inflight=settings.broker.max_inflight),
        will=last_will(station, topics, boot_id),
        subscriptions=[Subscription(topic_filter) for topic_filter in filters],
        on_delivery=inbox.put,
        on_connected=connected,
        on_disconnected=disconnected,
    )


def _trigger(triggers: MessageTriggers, capture: Capture, delivery: Delivery) -> None:
    part_id = read_trigger(delivery.payload)
    if not triggers.offer(part_id):
        capture.supersede(part_id)


def _version() -> str:
    try:
        return version("patchline")
    except PackageNotFoundError:
        return "unknown"
