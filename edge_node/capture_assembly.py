"""Builds what leads from a trigger to a row, from the settings."""

import logging
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from math import inf

from edge_node.capture.arrival_clock import ArrivalClock
from edge_node.capture.capture_loop import Capture
from edge_node.capture.exposure import Exposures
from edge_node.capture.frame_builder import FrameBuilder
from edge_node.capture.intake import TriggerIntake
from edge_node.capture.message_triggers import MessageTriggers
from edge_node.capture.recorder import PartRecorder
from edge_node.capture.sources import SOURCES
from edge_node.capture.sources.protocol import Arrival, Source, SourceContext
from edge_node.capture.takt import Takt
from edge_node.capture.trigger_loop import TriggerLoop
from edge_node.control.active_encoder import ActiveEncoder
from edge_node.gate.gate_controller import GateController
from edge_node.metrics import EdgeMetrics
from edge_node.settings import EdgeSettings

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CaptureParts:
    """From trigger to row.

    Attributes:
        arrival_clock: Dates trigger messages, where there are any.
    """

    source: Source
    exposures: Exposures
    triggers: TriggerLoop
    loop: Capture
    messages: MessageTriggers | None
    arrival_clock: ArrivalClock


def build_source(settings: EdgeSettings, metrics: EdgeMetrics, stop: threading.Event) -> Source:
    """The source of pictures; raises `MisconfiguredError` when what it names is not there."""

    def stray(name: str) -> None:
        _log.warning("picture %s belongs to no trigger and is given to no part", name)
        metrics.stray_pictures.inc()

    context = SourceContext(
        told=settings.trigger.topic is not None,
        max_age_seconds=settings.max_age_seconds,
        memory=settings.outbox.path.with_name(f"{settings.outbox.path.name}.pictures"),
        stop=stop,
        on_stray=stray,
    )
    return SOURCES[settings.source.kind](settings.source, context)


def capture_parts(
    settings: EdgeSettings,
    *,
    recorder: PartRecorder,
    gate_controller: GateController,
    active_encoder: ActiveEncoder,
    metrics: EdgeMetrics,
    stop: threading.Event,
) -> CaptureParts:
    """Everything from the trigger to the row; raises `MisconfiguredError` as `build_source` does."""
    source = build_source(settings, metrics, stop)
    arrival_clock = ArrivalClock(settings.max_age_seconds + settings.gate.deadline_seconds)
    messages = None
    triggers: Iterable[Arrival] | None = source.arrivals()
    by_clock = triggers is None and settings.trigger.topic is None
    if settings.trigger.topic is not None:
        messages = MessageTriggers(settings.trigger.topic, gate_controller, arrival_clock, metrics, stop)
        triggers = messages.arrivals()
    elif triggers is None:
        triggers = Takt(
            settings.trigger.clock_seconds,
            stop,
            delay_seconds=settings.trigger.delay_seconds,
            on_missed=metrics.missed_triggers.inc if source.live else lambda _: None,
        )
    # Pictures that wait are not too old for their parts, unless the plant's parts go by meanwhile.
    waits = messages is None and (not source.live or settings.trigger.clock_seconds == 0)
    exposures = Exposures(
        limit_seconds=settings.source.exposure_timeout_seconds,
        max_age_seconds=settings.max_age_seconds if source.live or not (waits or by_clock) else inf,
        live=source.live,
        stop=stop,
    )
    intake = TriggerIntake(source, recorder, gate_controller, metrics, stop)
    frames = FrameBuilder(settings.station, metrics)
    return CaptureParts(
        source=source,
        exposures=exposures,
        triggers=TriggerLoop(triggers, intake, active_encoder, stop, waits=waits),
        loop=Capture(
            intake,
            exposures=exposures,
            frames=frames,
            recorder=recorder,
            active_encoder=active_encoder,
            metrics=metrics,
            stop=stop,
        ),
        messages=messages,
        arrival_clock=arrival_clock,
    )
