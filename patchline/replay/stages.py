"""Where the time of a run went: each stage as a mean and three percentiles, from the journals of the stations."""

import math
from collections.abc import Collection, Iterable

import msgspec
import numpy as np

from edge_node.outbox.journal import JournalLine

WHOLE = "server"
"""The journal's name for all stages of the service together; it is no stage itself."""
TRANSMISSION = "transmission"
"""What is left of the end-to-end time after the edge's and the service's own stages: the link, both ways, and the
recording of the verdict, which the service shows as `vad_analytics_record_seconds`."""
UPLINK = "uplink"
"""Of the transmission, what passed until the broker acknowledged the message: a thin link's own time."""

PLACES = ("edge", "link", "service")


class Distribution(msgspec.Struct, frozen=True, kw_only=True):
    """Mean, median and tail of a quantity over the parts of a run; in the quantity's own unit."""

    mean: float
    p50: float
    p95: float
    p99: float


def distribution_of(values: Iterable[float]) -> Distribution | None:
    """Summarise some values; None where there is none. Percentiles interpolate linearly between ranks."""
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return None
    p50, p95, p99 = np.percentile(known, [50, 95, 99])
    return Distribution(mean=float(np.mean(known)), p50=float(p50), p95=float(p95), p99=float(p99))


class StageTimes(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds of one stage, and on which side of the link they were spent."""

    place: str
    seconds: Distribution


def stage_times(lines: Iterable[JournalLine], service_stages: Collection[str]) -> dict[str, StageTimes]:
    """Gather the seconds of every stage of a run, in the order of a part's journey.

    Args:
        lines: The stations' journals.
        service_stages: Which of the stages are the service's, as its verdicts name them.
    """
    gathered: dict[str, list[float]] = {}
    for line in lines:
        for name, seconds in line.stages.items():
            gathered.setdefault(name, []).append(seconds)
    for whole_or_part in (WHOLE, UPLINK):
        gathered.pop(whole_or_part, None)
    found: dict[str, StageTimes] = {}
    for place in PLACES:
        for name, values in gathered.items():
            spread = distribution_of(values)
            if spread is not None and _place(name, service_stages) == place:
                found[name] = StageTimes(place=place, seconds=spread)
    return found


def _place(stage: str, service_stages: Collection[str]) -> str:
    if stage == TRANSMISSION:
        return "link"
    return "service" if stage in service_stages else "edge"
