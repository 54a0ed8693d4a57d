"""What the service tells Prometheus; every name begins with `vad_analytics_`."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from patchline.mqtt.certificate_expiry import Ending, endings
from patchline.mqtt.settings import TlsSettings
from patchline.runtime.version import program_version
from patchline.runtime.watchdog import Watchdog
from patchline.wire.messages import OUTCOMES, DropReason

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_BYTES = (1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 5e6)
_CODES = ("envelope", "sha256", "station", "artifact", "codec", "size", "picture", "features", "payload")
_PARTS = (1, 2, 4, 8, 16, 32, 64)
_RATIOS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 3.0, 5.0)


class Metrics:
    """The service's counters and distributions.

    Args:
        registry: Where they are collected; each service has its own.

    Attributes:
        pulse: Where the service's loops note what they are at; not a series, but read at the same door.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.watchdog = Watchdog()
        ProcessCollector(registry=registry)
        self.build = Gauge(
            "vad_analytics_build_info", "1, with the version that runs as its label", ["version"], registry=registry
        )
        self.build.labels(program_version()).set(1)
        self.verdicts = Counter("vad_analytics_verdicts", "Parts judged, by outcome", ["outcome"], registry=registry)
        self.repeats = Counter(
            "vad_analytics_repeats", "Parts that came again and got their stored verdict", registry=registry
        )
        self.unreadable = Counter(
            "vad_analytics_unreadable", "Messages that could not be read, by cause", ["code"], registry=registry
        )
        self.dead_letters = Counter(
            "vad_analytics_dead_letters", "Unreadable messages kept for repair", registry=registry
        )
        self.drops = Counter(
            "vad_analytics_drops", "Parts produced but never to be judged, by reason", ["reason"], registry=registry
        )
        self.refused = Counter(
            "vad_analytics_refused", "Deliveries turned away because the line was full", registry=registry
        )
        self.undelivered = Counter(
            "vad_analytics_undelivered", "Publications the broker did not accept, by channel", ["channel"],
            registry=registry,
        )  # fmt: skip
        self.records_errors = Counter(
            "vad_analytics_records_errors", "Times the records were away and had to be tried again", registry=registry
        )
        self.records_up = Gauge("vad_analytics_records_up", "1 while the records can be used", registry=registry)
        self.score_ratio = Histogram(
            "vad_analytics_score_ratio", "Anomaly score over the threshold; over the highest normal score without one",
            ["station", "codec"], buckets=_RATIOS, registry=registry,
        )  # fmt: skip
        self.score_drift = Gauge(
            "vad_analytics_score_drift_ratio", "How far the last 200 scores rose above those at commissioning: "
            "one-sided Kolmogorov-Smirnov distance", ["station", "codec"], registry=registry,
        )  # fmt: skip
        self.score_drift_limit = Gauge(
            "vad_analytics_score_drift_limit_ratio", "The distance that chance exceeds once in a thousand times",
            ["station", "codec"], registry=registry,
        )  # fmt: skip
        self.payload_bytes = Histogram(
            "vad_analytics_payload_bytes", "Encoded pictures, by codec", ["codec"], buckets=_BYTES, registry=registry
        )
        self.stage_seconds = Histogram(
            "vad_analytics_stage_seconds", "What a part spent in a stage; a micro-batch spends it together", ["stage"],
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self.server_seconds = Histogram(
            "vad_analytics_server_seconds", "From a message's arrival to its verdict", buckets=_SECONDS,
            registry=registry,
        )  # fmt: skip
        self.batch_parts = Histogram(
            "vad_analytics_batch_parts", "Messages handled in one micro-batch", buckets=_PARTS, registry=registry
        )
        self.queue_parts = Gauge("vad_analytics_queue_parts", "Messages that wait for the worker", registry=registry)
        self.queue_bytes = Gauge("vad_analytics_queue_bytes", "Bytes of the messages that wait", registry=registry)
        self.connected = Gauge(
            "vad_analytics_connected", "1 while a link to the broker is up", ["link"], registry=registry
        )
        self.certificates = Gauge(
            "vad_analytics_certificate_expiry_seconds", "Until a certificate the links depend on expires",
            ["certificate"], registry=registry,
        )  # fmt: skip
        self.artifact_info = Gauge(
            "vad_analytics_artifact_info", "1 for every artifact that can be asked to judge",
            ["station", "codec", "artifact", "backbone", "detector"], registry=registry,
        )  # fmt: skip
        self.unaccounted = Gauge(
            "vad_analytics_unaccounted_parts", "Numbers missing between two on record, neither judged, dropped, nor "
            "known to wait at the edge", ["station"], registry=registry,
        )  # fmt: skip
        self._begin_at_zero()

    def _begin_at_zero(self) -> None:
        """Show every series before anything happens: `increase` does not see the first step of one that is new."""
        for outcome in OUTCOMES:
            self.verdicts.labels(outcome)
        for reason in get_args(DropReason):
            self.drops.labels(reason)
        for code in _CODES:
            self.unreadable.labels(code)
        for channel in ("verdict", "map", "unreadable"):
            self.undelivered.labels(channel)

    @property
    def records_are_up(self) -> bool:
        """Whether the records obeyed the last time they were asked."""
        return self.registry.get_sample_value("vad_analytics_records_up") == 1

    @property
    def backlog_is_connected(self) -> bool:
        """Whether historical parts can come."""
        return self.registry.get_sample_value("vad_analytics_connected", {"link": "backlog"}) == 1

    def watch_queue(self, parts: Callable[[], float], waiting_bytes: Callable[[], float]) -> None:
        """Read the waiting line's depth whenever somebody looks."""
        self.queue_parts.set_function(parts)
        self.queue_bytes.set_function(waiting_bytes)

    def show_unaccounted(self, station: str, parts: int) -> None:
        """So many parts of a station are missing."""
        self.unaccounted.labels(station).set(parts)

    def watch_certificates(self, tls: TlsSettings) -> None:
        """Read how long certificates still hold whenever somebody looks."""
        for ending in endings(tls):
            self.certificates.labels(ending.role).set_function(partial(_seconds_left, ending))


def _seconds_left(ending: Ending) -> float:
    return ending.seconds_left(datetime.now(UTC))
