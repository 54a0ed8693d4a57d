"""Where the time of a run went, from what the stations wrote down about their parts."""

from collections.abc import Collection, Iterable

import msgspec

from edge_node.outbox.journal import JournalLine
from patchline.replay.distribution import Distribution, distribution_of

WHOLE = "server"
"""The journal's name for all of the service's stages together; it is no stage of its own."""
TRANSMISSION = "transmission"
"""What is left of the end-to-end time after the edge's and the service's own stages: the link, both ways, and the
recording of the verdict, which the service shows as `vad_analytics_record_seconds`."""
UPLINK = "uplink"
"""Of the transmission, what passed until the broker acknowledged the message: a thin link's own time."""

PLACES = ("edge", "link", "service")


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
