"""What the service tells Prometheus; every name begins with `vad_analytics_`."""

from collections.abc import Callable
from dataclasses import dataclass
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
_PARTS = (1, 2, 4, 8, 16, 32, 64)
_RATIOS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 3.0, 5.0)


@dataclass(frozen=True, slots=True)
class _Series:
    kind: type[Counter] | type[Gauge]
    help: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Distribution:
    buckets: tuple[float, ...]
    help: str
    labels: tuple[str, ...] = ()


_SERIES: dict[str, _Series | _Distribution] = {
    "build_info": _Series(Gauge, "1, with the version that runs as its label", ("version",)),
    "verdicts": _Series(Counter, "Parts that ended with a verdict, by outcome", ("outcome",)),
    "repeats": _Series(Counter, "Parts that came again and got their recorded answer"),
    "unreadable": _Series(Counter, "Messages that could not be read or scored, by cause", ("code",)),
    "dead_letters": _Series(Counter, "Unreadable messages kept for repair"),
    "drops": _Series(Counter, "Parts produced but never to be judged, by reason", ("reason",)),
    "withheld": _Series(Counter, "Copies of one message that came too often to be answered"),
    "refused": _Series(Counter, "Deliveries turned away because the line was full"),
    "undelivered": _Series(Counter, "Publications the broker did not accept, by channel", ("channel",)),
    "records_errors": _Series(Counter, "Times the records were away and had to be tried again"),
    "records_up": _Series(Gauge, "1 while the records answer"),
    "record_seconds": _Distribution(_SECONDS, "Recording a micro-batch, after its verdicts' server_seconds"),
    "score_ratio": _Distribution(
        _RATIOS,
        "Anomaly score over the threshold; over the highest normal score without one",
        ("station", "codec"),
    ),
    "score_drift_ratio": _Series(
        Gauge,
        "How far the last 200 scores rose above those at commissioning: one-sided Kolmogorov-Smirnov distance",
        ("station", "codec"),
    ),
    "score_drift_limit_ratio": _Series(
        Gauge, "The distance that chance exceeds once in a thousand times", ("station", "codec")
    ),
    "payload_bytes": _Distribution(_BYTES, "Encoded pictures, by codec", ("codec",)),
    "stage_seconds": _Distribution(
        _SECONDS, "What a part spent in a stage; a micro-batch spends it together", ("stage",)
    ),
    "server_seconds": _Distribution(_SECONDS, "From a message's arrival to its verdict, without its recording"),
    "batch_parts": _Distribution(_PARTS, "Messages handled in one micro-batch"),
    "queue_parts": _Series(Gauge, "Messages that wait for the worker"),
    "queue_bytes": _Series(Gauge, "Bytes of the messages that wait"),
    "connected": _Series(Gauge, "1 while a link to the broker is up", ("link",)),
    "certificate_expiry_seconds": _Series(Gauge, "Until a certificate the links depend on expires", ("certificate",)),
    "artifact_info": _Series(
        Gauge,
        "1 for every artifact that can be asked to judge",
        ("station", "codec", "artifact", "backbone", "detector"),
    ),
    "files_set_aside": _Series(Gauge, "Artifacts and profiles that cannot be used; the log names them"),
    "unaccounted_parts": _Series(
        Gauge,
        "Numbers missing between two on record, neither judged, dropped, nor known to wait at the edge",
        ("station",),
    ),
}
"""Every series; an attribute of `Metrics` with the same name holds it."""

_FIRST_LABELS: dict[str, tuple[str, ...]] = {
    "verdicts": OUTCOMES,
    "drops": get_args(DropReason),
    "unreadable": (
        "envelope", "sha256", "station", "artifact", "codec", "size", "picture", "features", "payload", "internal",
    ),
    "undelivered": ("verdict", "map", "unreadable"),
}  # fmt: skip
"""Shown before anything happens: `increase` does not see the first step of a series that is new."""


class Metrics:
    """The service's counters and distributions: write-only, the program keeps its state elsewhere.

    Args:
        registry: Where they are collected; each service has its own.

    Attributes:
        watchdog: Where the service's loops note what they are at; not a series, but read at the same door.
    """

    build_info: Gauge
    verdicts: Counter
    repeats: Counter
    unreadable: Counter
    dead_letters: Counter
    drops: Counter
    withheld: Counter
    refused: Counter
    undelivered: Counter
    records_errors: Counter
    records_up: Gauge
    record_seconds: Histogram
    score_ratio: Histogram
    score_drift_ratio: Gauge
    score_drift_limit_ratio: Gauge
    payload_bytes: Histogram
    stage_seconds: Histogram
    server_seconds: Histogram
    batch_parts: Histogram
    queue_parts: Gauge
    queue_bytes: Gauge
    connected: Gauge
    certificate_expiry_seconds: Gauge
    artifact_info: Gauge
    files_set_aside: Gauge
    unaccounted_parts: Gauge

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.watchdog = Watchdog()
        ProcessCollector(registry=registry)
        for name, series in _SERIES.items():
            full = f"vad_analytics_{name}"
            if isinstance(series, _Distribution):
                made = Histogram(full, series.help, series.labels, buckets=series.buckets, registry=registry)
                setattr(self, name, made)
            else:
                setattr(self, name, series.kind(full, series.help, series.labels, registry=registry))
        self.build_info.labels(program_version()).set(1)
        for name, values in _FIRST_LABELS.items():
            for value in values:
                getattr(self, name).labels(value)

    def watch_queue(self, parts: Callable[[], float], waiting_bytes: Callable[[], float]) -> None:
        """Read the queue's depth whenever somebody looks."""
        self.queue_parts.set_function(parts)
        self.queue_bytes.set_function(waiting_bytes)

    def show_unaccounted(self, station: str, parts: int) -> None:
        """So many parts of a station are missing."""
        self.unaccounted_parts.labels(station).set(parts)

    def watch_certificates(self, tls: TlsSettings) -> None:
        """Read how long certificates still hold whenever somebody looks."""
        for ending in endings(tls):
            self.certificate_expiry_seconds.labels(ending.role).set_function(partial(_seconds_left, ending))


def _seconds_left(ending: Ending) -> float:
    return ending.seconds_left(datetime.now(UTC))
