"""Builds an edge node's parts from its settings; nothing runs yet."""

import random
import threading
from dataclasses import dataclass
from functools import partial
from uuid import uuid4

from edge_node.capture.full_outbox import DropOldest
from edge_node.capture.recorder import PartRecorder, never
from edge_node.capture_assembly import CaptureParts, capture_parts
from edge_node.connections import backlog_link, gate_link, live_link, trigger_link
from edge_node.control.active_encoder import ActiveEncoder
from edge_node.control.command_handler import CommandHandler
from edge_node.control.profile_cache import ProfileCache
from edge_node.control.profile_updates import ProfileUpdates
from edge_node.control.status_publisher import StatusPublisher
from edge_node.delivery.inbox import Inbox
from edge_node.delivery.publisher import Publisher
from edge_node.delivery.retry_schedule import RetrySchedule
from edge_node.delivery.service_presence import ServicePresence
from edge_node.delivery.ticket import SchedulePolicy
from edge_node.delivery.verdict_handler import VerdictHandler
from edge_node.encoding.backbones import EdgeBackbones, is_at_hand
from edge_node.encoding.feature_encoder import FeatureEncoders
from edge_node.gate.gate_controller import GateController
from edge_node.gate.gate_policy import GatePolicy
from edge_node.gate.gates import GATES
from edge_node.gate.gates.protocol import topic_of
from edge_node.metrics import EdgeMetrics
from edge_node.outbox.outbox import Outbox
from edge_node.outbox.rows import clock_id
from edge_node.settings import EdgeSettings
from patchline.mqtt.link import Link
from patchline.runtime.signing import VerifyKey
from patchline.runtime.version import program_version
from patchline.wire.topics import Station, Topics

_FEWEST_JOURNAL_LINES = 1000
"""Gate decisions on parts that are closed already are kept in the journal, however little of it is asked for."""


@dataclass(frozen=True, slots=True)
class Stops:
    """First the capture stops, then, once it had time to drain, the rest."""

    capture: threading.Event
    rest: threading.Event


@dataclass(frozen=True, slots=True)
class Node:
    """The parts of one edge node.

    Attributes:
        boot_id: Names this run.
        clock_id: Names the monotonic clock it reads.
    """

    boot_id: str
    clock_id: str
    metrics: EdgeMetrics
    outbox: Outbox
    active_encoder: ActiveEncoder
    status_publisher: StatusPublisher
    publisher: Publisher
    inbox: Inbox
    link: Link
    gate_controller: GateController
    profile_updates: ProfileUpdates
    capture: CaptureParts
    plant_links: tuple[Link, ...]


def assemble(settings: EdgeSettings, stops: Stops) -> Node:
    """Build everything.

    Raises:
        MisconfiguredError: A setting, or a file it names, is wrong.
        UnavailableError: The outbox's disk is full or failing.
    """
    station, boot_id, clock = settings.station, str(uuid4()), clock_id()
    metrics = EdgeMetrics()
    metrics.deadline.set(settings.gate.deadline_seconds)
    outbox = _outbox(settings, boot_id, clock)
    metrics.watch_outbox(lambda: outbox.state)
    cache = _cache(settings)
    active_encoder = ActiveEncoder(
        FeatureEncoders(EdgeBackbones(threads=settings.backbone_threads, fetched=cache.asset), cache.asset)
    )
    publisher = _publisher(settings, outbox, metrics)
    services = ServicePresence(publisher)
    status_publisher = _status_publisher(settings, boot_id, active_encoder, cache, outbox=outbox, services=services)
    inbox = Inbox(metrics)
    link = live_link(
        settings,
        boot_id=boot_id,
        inbox=inbox,
        publisher=publisher,
        status_publisher=status_publisher,
        metrics=metrics,
    )
    publisher.attach(link)
    links = [gate_link(settings)] if topic_of(settings.gate) is not None else []
    gate = GATES[settings.gate.kind](settings.gate, links[0] if links else link)
    gate_controller = GateController(gate, outbox, station, _gate_policy(settings), metrics)
    recorder = PartRecorder(
        outbox,
        publisher,
        station=station,
        metrics=metrics,
        stop=stops.capture,
        make_room=DropOldest(outbox, publisher, station, metrics).make_room
        if settings.outbox.when_full == "drop_oldest"
        else never,
    )
    capture = capture_parts(
        settings,
        recorder=recorder,
        gate_controller=gate_controller,
        active_encoder=active_encoder,
        metrics=metrics,
        stop=stops.capture,
    )
    if capture.messages is not None and settings.trigger.topic is not None:
        receive = capture.messages.receive
        links.append(trigger_link(settings, settings.trigger.topic, on_trigger=receive, clock=capture.arrival_clock))
    node = Node(
        boot_id=boot_id,
        clock_id=clock,
        metrics=metrics,
        outbox=outbox,
        active_encoder=active_encoder,
        status_publisher=status_publisher,
        publisher=publisher,
        inbox=inbox,
        link=link,
        gate_controller=gate_controller,
        profile_updates=ProfileUpdates(station, active_encoder, cache, status_publisher, metrics),
        capture=capture,
        plant_links=tuple(links),
    )
    _route(node, settings, services)
    return node


def verify_key_of(settings: EdgeSettings) -> VerifyKey | None:
    """The key whose owner must sign profiles; raises `MisconfiguredError` when it cannot be used."""
    return VerifyKey(settings.profile.verify_key) if settings.profile.verify_key else None


def _cache(settings: EdgeSettings) -> ProfileCache:
    table = settings.profile
    return ProfileCache(
        table.directory,
        settings.station,
        max_asset_bytes=table.max_asset_bytes,
        verify_key=verify_key_of(settings),
        at_hand=is_at_hand,
    )


def _outbox(settings: EdgeSettings, boot_id: str, clock: str) -> Outbox:
    return Outbox(
        settings.outbox.path,
        settings.station,
        boot_id=boot_id,
        clock_id=clock,
        budget_bytes=settings.outbox.budget_bytes,
        journal_lines=max(_FEWEST_JOURNAL_LINES, settings.outbox.journal_lines),
    )


def _status_publisher(
    settings: EdgeSettings,
    boot_id: str,
    active_encoder: ActiveEncoder,
    cache: ProfileCache,
    *,
    outbox: Outbox,
    services: ServicePresence,
) -> StatusPublisher:
    return StatusPublisher(
        Station.parse(settings.station),
        Topics(settings.prefix),
        boot_id=boot_id,
        version=program_version(),
        active_encoder=active_encoder,
        cache=cache,
        outbox=outbox,
        services=lambda: services.names,
    )


def _publisher(settings: EdgeSettings, outbox: Outbox, metrics: EdgeMetrics) -> Publisher:
    send = settings.send
    policy = SchedulePolicy(
        live_seconds=send.live_seconds or settings.gate.deadline_seconds,
        first_resend_seconds=send.first_resend_seconds,
        backlog_window=send.backlog_window,
        backlog_bytes_per_second=send.backlog_bytes_per_second,
    )
    return Publisher(
        outbox,
        RetrySchedule(policy, random.Random()),  # noqa: S311  spreads resends in time, guards nothing
        topics=Topics(settings.prefix),
        station=Station.parse(settings.station),
        metrics=metrics,
        open_backlog=partial(backlog_link, settings),
    )


def _gate_policy(settings: EdgeSettings) -> GatePolicy:
    gate = settings.gate
    return GatePolicy(gate.deadline_seconds, gate.default, gate.uncalibrated, gate.tolerance_seconds)


def _route(node: Node, settings: EdgeSettings, services: ServicePresence) -> None:
    """Say who reads which topic."""
    receipts = VerdictHandler(
        node.outbox,
        node.publisher,
        node.gate_controller,
        station=settings.station,
        boot_id=node.boot_id,
        metrics=node.metrics,
    )
    node.inbox.on("verdict", receipts.receive)
    node.inbox.on("status", services.receive)
    node.inbox.on("profile", node.profile_updates.receive_profile, "profiles")
    node.inbox.on("asset", node.profile_updates.receive_asset, "profiles")
    commands = CommandHandler(node.active_encoder, node.status_publisher, node.metrics)
    node.inbox.on("command", commands.receive, "commands")
