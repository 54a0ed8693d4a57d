"""A running edge node's own metrics, read as Prometheus would."""

from dataclasses import dataclass
from http.client import HTTPException
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

_TIMEOUT_SECONDS = 0.5
_TAIL = 0.95


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What the metrics of an edge node show.

    Attributes:
        produced: Triggers that have fired: inspections closed and those that wait.
        waiting: Inspections that wait for their verdict.
    """

    produced: int
    waiting: int


class Gauges:
    """The metrics of one edge node.

    Args:
        port: Where it serves them.
        host: The address it serves them on.
    """

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._address = f"http://{host}:{port}/metrics"
        self.p95_seconds: float | None = None

    def read(self) -> Reading | None:
        """The metrics now; None while the node starts or ends."""
        try:
            with urlopen(self._address, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310 - http on loopback
                text = answer.read().decode("utf-8")
        except (OSError, HTTPException):
            return None
        samples: dict[str, float] = {}
        buckets: list[tuple[float, float]] = []
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                samples[sample.name] = samples.get(sample.name, 0.0) + sample.value
                if sample.name == "vad_edge_latency_seconds_bucket":
                    buckets.append((float(sample.labels["le"]), sample.value))
        self.p95_seconds = quantile(sorted(buckets), _TAIL)
        waiting = samples.get("vad_edge_outbox_rows", 0.0)
        closed = samples.get("vad_edge_verdicts_total", 0.0) + samples.get("vad_edge_drops_total", 0.0)
        return Reading(produced=int(closed + waiting), waiting=int(waiting))


def quantile(buckets: list[tuple[float, float]], share: float) -> float | None:
    """A quantile from a histogram's cumulative buckets, straight within a bucket, as Prometheus computes it.

    Args:
        buckets: Upper bound and cumulative count, in order, the last bound infinite.
        share: Which quantile, 0 to 1.

    Returns:
        None without observations; the last finite bound where the quantile lies beyond it.
    """
    total = buckets[-1][1] if buckets else 0.0
    if total == 0:
        return None
    below, low = 0.0, 0.0
    for bound, count in buckets:
        if count >= share * total:
            if bound == float("inf"):
                return low
            return low + (bound - low) * (share * total - below) / (count - below)
        below, low = count, bound
    return low
