"""What the edge node measures, for Prometheus; every series is on the edge dashboard or in an alert."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from itertools import product
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from edge_node.outbox.rows import OutboxState
from patchline.mqtt.certificate_expiry import Ending, endings
from patchline.mqtt.settings import TlsSettings
from patchline.runtime.version import program_version
from patchline.runtime.watchdog import Watchdog
from patchline.vision.pixels.picture_health import PictureHealth
from patchline.wire.messages import OUTCOMES, DropReason

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_LATENCY_SECONDS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0)
_PAYLOAD_BYTES = tuple(1000.0 * 2**power for power in range(13))
_SHARES = (0.001, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
_FOCUS = tuple(2.0**power for power in range(17))


class Flag:
    """A state of the program that is also exported; the program reads it here, never from the series."""

    def __init__(self) -> None:
        self.value = False

    def set(self, value: float) -> None:
        """Note the state."""
        self.value = bool(value)


class EdgeMetrics:
    """The series of one edge node, in a registry of their own.

    Attributes:
        watchdog: Where the node's loops note what they do; not a series.
        blocked: Whether the outbox takes no pictures.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.watchdog = Watchdog()
        ProcessCollector(registry=self.registry)
        counter, gauge, histogram = self._counter, self._gauge, self._histogram
        self.build = gauge("build_info", "1, with the version that runs as its label", ("version",))
        self.build.labels(program_version()).set(1)
        self.payload_bytes = histogram("payload_bytes", "Size of encoded pictures", ("codec",), _PAYLOAD_BYTES)
        self.stage_seconds = histogram("stage_seconds", "Time spent in each stage at the edge", ("stage",), _SECONDS)
        self.latency_seconds = histogram("latency_seconds", "Capture to verdict received", (), _LATENCY_SECONDS)
        self.parts = counter("parts", "Parts produced: triggers that got their number")
        self.drops = counter("drops", "Parts that will never be judged", ("reason",))
        self.sends = counter("sends", "Messages handed to the link", ("channel",))
        self.resends = counter("resends", "Messages handed to the link again")
        self.refusals = counter("refusals", "Messages the broker did not accept")
        self.verdicts = counter("verdicts", "Inspections closed by a verdict", ("outcome",))
        self.duplicates = counter("duplicate_receipts", "Verdicts and receipts for inspections already closed")
        self.damaged = counter("damaged_messages", "Messages damaged on the way: sent again, or judged all the same")
        self.unreadable = counter("unreadable_deliveries", "Deliveries that could not be understood", ("channel",))
        self.overflows = counter("inbox_overflows", "Deliveries left to their sender, triggers lost, as too many wait")
        self.inbox = gauge("inbox_deliveries", "Deliveries that wait to be handled")
        self.repeated_triggers = counter("repeated_triggers", "Trigger messages that came again and are no second part")
        self.missed_triggers = counter("missed_triggers", "Triggers of the clock that were due while nothing captured")
        self.stray_pictures = counter("stray_pictures", "Files of a watched folder that belong to no trigger")
        self.gate_actions = counter("gate_actions", "Commands given to the gate", ("action", "grounds"))
        self.gate_failures = counter("gate_failures", "Commands on which the gate failed to act")
        self.deadline = gauge("gate_deadline_seconds", "From capture to the moment the gate acts, verdict or not")
        self.brightness = histogram(
            "picture_brightness_ratio", "Mean grey level of a picture: 0 black, 1 white", (), _SHARES
        )
        self.clipped = histogram(
            "picture_clipped_ratio", "Share of a picture's pixels that are black or white", (), _SHARES
        )
        self.focus = histogram(
            "picture_focus", "Sharpness: variance of a picture's Laplacian, squared grey levels", (), _FOCUS
        )
        self.connected = gauge("connected", "Whether the live connection is up")
        self.blocked = Flag()
        gauge("capture_blocked", "Whether the outbox, full or failing, takes no pictures").set_function(
            lambda: self.blocked.value
        )
        self.paused = gauge("paused", "Whether a command stopped the capture")
        self.certificates = gauge(
            "certificate_expiry_seconds", "Until a certificate the link depends on expires", ("certificate",)
        )
        self.profile = gauge("profile_info", "The profile and the codec in use", ("station", "profile", "codec"))

        self._begin_at_zero()

    def _begin_at_zero(self) -> None:
        """Show every series before anything happens: `increase` does not see the first step of one that is new."""
        for reason in get_args(DropReason):
            self.drops.labels(reason)
        for outcome in OUTCOMES:
            self.verdicts.labels(outcome)
        for action, grounds in product(("accept", "reject"), ("verdict", "deadline")):
            self.gate_actions.labels(action, grounds)
        for channel in ("frame", "backlog"):
            self.sends.labels(channel)

    def watch_outbox(self, state: Callable[[], OutboxState]) -> None:
        """Show an outbox's state whenever somebody reads the metrics."""
        self._gauge("outbox_rows", "Inspections that wait").set_function(lambda: state().rows)
        self._gauge("outbox_bytes", "Bytes of messages that wait").set_function(lambda: state().bytes)
        self._gauge("outbox_budget_bytes", "Bytes frames may use").set_function(lambda: state().budget_bytes)
        self._gauge("outbox_set_aside", "Damaged outbox files set aside since the start").set_function(
            lambda: state().set_aside
        )
        self._gauge("outbox_oldest_age_seconds", "Age of the oldest inspection that waits").set_function(
            lambda: _age_seconds(state())
        )

    def watch_certificates(self, tls: TlsSettings) -> None:
        """Show how long certificates are still valid; they are read at each scrape."""
        for ending in endings(tls):
            self.certificates.labels(ending.role).set_function(partial(_seconds_left, ending))

    def show_profile(self, station: str, profile: str, codec: str) -> None:
        """Say which profile and codec are in use."""
        self.profile.clear()
        self.profile.labels(station, profile[:12], codec).set(1)

    @property
    def capture_is_blocked(self) -> bool:
        """Whether the outbox took no picture the last time it was asked."""
        return self.blocked.value

    def observe_picture(self, health: PictureHealth) -> None:
        """Note what a picture says of its camera."""
        self.brightness.observe(health.brightness)
        self.clipped.observe(health.clipped)
        self.focus.observe(health.focus)

    def _counter(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
        return Counter(f"vad_edge_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
        return Gauge(f"vad_edge_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, labels: tuple[str, ...], buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"vad_edge_{name}", text, labels, registry=self.registry, buckets=buckets)


def _seconds_left(ending: Ending) -> float:
    return ending.seconds_left(datetime.now(UTC))


def _age_seconds(state: OutboxState) -> float:
    return 0.0 if state.oldest_captured_at is None else max(0.0, time.time() - state.oldest_captured_at)
