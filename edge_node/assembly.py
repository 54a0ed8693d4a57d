"""Builds an edge node's parts from its settings; nothing runs yet."""

import random
import threading
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import uuid4

from edge_node.capture.capture_loop import Capture
from edge_node.capture.full_outbox import DowngradeCodec, DropOldest, Overflow, StopCapture
from edge_node.capture.sources import SOURCES
from edge_node.capture.sources.protocol import Source
from edge_node.capture.sources.triggers import MessageTriggers, Takt, Triggers
from edge_node.capture.trigger_overflow import TriggerOverflow
from edge_node.connections import backlog_link, live_link
from edge_node.control.active_encoder import ActiveEncoder
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
from edge_node.gate.gate_controller import GateController, GatePolicy
from edge_node.gate.gates import GATES, gpio
from edge_node.gate.gates.protocol import Gate
from edge_node.metrics import EdgeMetrics
from edge_node.outbox.outbox import Outbox
from edge_node.outbox.rows import clock_id
from edge_node.settings import EdgeSettings, GateTable
from patchline.mqtt.link import Link
from patchline.runtime.signing import VerifyKey
from patchline.runtime.version import program_version
from patchline.wire.topics import Station, Topics


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
    capture: Capture
    trigger_overflow: TriggerOverflow | None


def assemble(settings: EdgeSettings, stops: Stops) -> Node:
    """Build everything.

    Raises:
        MisconfiguredError: A setting, or a file it names, is wrong.
        UnavailableError: The outbox's disk is full or failing.
    """
    station, boot_id, clock = settings.station, str(uuid4()), clock_id()
    triggers = build_triggers(settings, stops.capture)
    source = build_source(settings, triggers)
    metrics = EdgeMetrics()
    metrics.deadline.set(settings.gate.deadline_seconds)
    outbox = _outbox(settings, boot_id, clock)
    metrics.watch_outbox(lambda: outbox.state)
    cache = _cache(settings)
    active_encoder = ActiveEncoder(
        FeatureEncoders(EdgeBackbones(threads=settings.backbone_threads, fetched=cache.asset), cache.asset)
    )
    status_publisher = _status_publisher(settings, boot_id, active_encoder, cache, outbox)
    publisher = _publisher(settings, outbox, metrics)
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
    gate_controller = GateController(build_gate(settings, link), outbox, station, _gate_policy(settings), metrics)
    capture = Capture(
        source,
        outbox=outbox,
        active_encoder=active_encoder,
        gate_controller=gate_controller,
        publisher=publisher,
        station=station,
        metrics=metrics,
        stop=stops.capture,
        overflow=_overflow(
            settings,
            outbox,
            publisher,
            active_encoder=active_encoder,
            status_publisher=status_publisher,
            metrics=metrics,
        ),
    )
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
        trigger_overflow=TriggerOverflow(triggers, capture.supersede, metrics)
        if isinstance(triggers, MessageTriggers)
        else None,
    )
    _route(node, settings)
    return node


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
    arguments = _gate_arguments(settings)
    if settings.gate.kind == "mqtt":
        arguments["link"] = link
    return GATES[settings.gate.kind](**arguments)


def look_at_gate(settings: EdgeSettings) -> None:
    """Raise `MisconfiguredError` when the gate cannot be used; a pin that a running station holds is left alone."""
    if settings.gate.kind == "gpio":
        gpio.library()
    elif settings.gate.kind == "http":
        GATES["http"](**_gate_arguments(settings))


def _gate_arguments(settings: EdgeSettings) -> dict[str, Any]:
    shared = {"kind", *GateTable.model_fields}
    return {name: value for name, value in settings.gate if name not in shared}


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
        journal_lines=settings.outbox.journal_lines,
    )


def _overflow(
    settings: EdgeSettings,
    outbox: Outbox,
    publisher: Publisher,
    *,
    active_encoder: ActiveEncoder,
    status_publisher: StatusPublisher,
    metrics: EdgeMetrics,
) -> Overflow:
    match settings.outbox.when_full:
        case "stop_capture":
            return StopCapture()
        case "drop_oldest":
            return DropOldest(outbox, publisher, settings.station, metrics)
        case "downgrade_codec":
            return DowngradeCodec(outbox, active_encoder, status_publisher, settings.station, metrics)


def _status_publisher(
    settings: EdgeSettings, boot_id: str, active_encoder: ActiveEncoder, cache: ProfileCache, outbox: Outbox
) -> StatusPublisher:
    return StatusPublisher(
        Station.parse(settings.station),
        Topics(settings.prefix),
        boot_id=boot_id,
        version=program_version(),
        active_encoder=active_encoder,
        cache=cache,
        outbox=outbox,
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
    return GatePolicy(settings.gate.deadline_seconds, settings.gate.default, settings.gate.uncalibrated)


def _route(node: Node, settings: EdgeSettings) -> None:
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
    node.inbox.on("status", ServicePresence(node.publisher).receive)
    node.inbox.on("profile", node.profile_updates.receive_profile)
    node.inbox.on("asset", node.profile_updates.receive_asset)
    node.inbox.on("command", node.profile_updates.receive_command)
    if node.trigger_overflow is not None and settings.trigger.topic:
        node.inbox.on(settings.trigger.topic, node.trigger_overflow.receive)
