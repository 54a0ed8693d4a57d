"""`report.json`: a run in figures."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from edge_node.outbox.journal import JournalLine
from patchline.pictures.files import GOOD
from patchline.replay.accuracy import Accuracy, PeakTally
from patchline.replay.reconciliation import Account, Fate
from patchline.replay.stages import TRANSMISSION, UPLINK, Distribution, StageTimes, distribution_of, stage_times
from patchline.wire.messages import OUTCOMES

Journals = Mapping[str, Sequence[JournalLine]]
"""Station -> what it wrote down about its closed inspections."""

_WITHOUT_VERDICT_IN_TIME = frozenset({"deadline", "missed"})


class Passed(msgspec.Struct, frozen=True, kw_only=True):
    """Parts of one kind, by what became of them; the fields add up to `produced`."""

    produced: int
    accepted: int
    rejected: int
    uncalibrated: int
    unreadable: int
    without_verdict: int


class StationSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One station's share of the run."""

    produced: int
    judged: int
    rejected: int
    late: int
    threshold: float | None
    image_auroc: float | None
    latency_seconds: Distribution | None


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What a run showed. The keys up to `seed` are the same in every report and benchmark; the rest explains them.

    Attributes:
        produced: Parts in the truth ledger.
        judged: Parts with exactly one verdict.
        dropped: Stated reason -> parts.
        duplicates: Identical repeats of verdicts on the wire.
        parts_per_second: Judged parts over the time from the first capture to the last verdict.
        payload_bytes: What the codec made of a picture.
        latency_seconds: Capture to verdict received, on the edge's own clock.
        proven: Whether every part of the ledger has exactly one verdict.
        verdicts: Label -> parts accepted and rejected; `defect` sums all labels but `good`.
        transmission_seconds: End to end, less what the edge took and what passed at the service until the verdict: the
            link, both ways, and the recording of the verdict.
        uplink_seconds: Of it, from sending to the broker's acknowledgement, where that came before the verdict.
        stage_seconds: Stage -> where it was spent and how long it took.
        late: Parts whose gate acted on the deadline's default, before their verdict came.
        unwitnessed: Verdicts the independent watcher missed, read from the service's records instead.
        damaged: Messages that arrived damaged; their parts were sent again.
        maps: Published maps that entered the pixel figures; maps travel once and unacknowledged, so a broken link
            may cost some.
        maps_missing: Scored parts that have no map to enter the pixel figures with.
    """

    produced: int
    judged: int
    dropped: dict[str, int]
    duplicates: int
    image_auroc: float | None
    pixel_auroc: float | None
    pixel_f1: float | None
    aupro: float | None
    parts_per_second: float | None
    payload_bytes: Distribution | None
    latency_seconds: Distribution | None
    machine: dict[str, str | int]
    versions: dict[str, str]
    commit: str | None
    seed: int
    proven: bool
    faults: list[str]
    configuration: dict[str, Any]
    outcomes: dict[str, int]
    verdicts: dict[str, Passed]
    stations: dict[str, StationSummary]
    transmission_seconds: Distribution | None = None
    uplink_seconds: Distribution | None = None
    stage_seconds: dict[str, StageTimes]
    server_seconds: Distribution | None
    wire_bytes: Distribution | None
    late: int
    peaks_in_mask: PeakTally | None
    unwitnessed: int
    damaged: int
    maps: int
    maps_missing: int
    duration_seconds: float


def passed(fates: Sequence[Fate]) -> Passed:
    """Count parts by the verdicts on them."""
    outcomes = Counter("" if fate.verdict is None else fate.verdict.outcome for fate in fates)
    return Passed(
        produced=len(fates),
        accepted=outcomes["normal"],
        rejected=outcomes["anomalous"],
        uncalibrated=outcomes["uncalibrated"],
        unreadable=outcomes["unreadable"],
        without_verdict=outcomes[""],
    )


def verdict_table(fates: Sequence[Fate]) -> dict[str, Passed]:
    """Parts by label: `good`, `defect` for all the others together, then each kind of defect."""
    table = {GOOD: passed([fate for fate in fates if not fate.entry.defective])}
    table["defect"] = passed([fate for fate in fates if fate.entry.defective])
    for label in sorted({fate.entry.label for fate in fates if fate.entry.defective}):
        table[label] = passed([fate for fate in fates if fate.entry.label == label])
    return table


def parts_per_second(fates: Sequence[Fate]) -> float | None:
    """Judged parts over the seconds from the first capture to the last verdict; None for fewer than two."""
    judged = [fate for fate in fates if fate.verdict is not None]
    captured = [fate.verdict.captured_at for fate in judged if fate.verdict is not None and fate.verdict.captured_at]
    ended = [max(fate.seen_at, fate.verdict.judged_at) for fate in judged if fate.verdict is not None]
    if len(captured) < 2 or max(ended) <= min(captured):  # noqa: PLR2004 - one part has no rate
        return None
    return len(judged) / (max(ended) - min(captured))


def late(lines: Iterable[JournalLine]) -> int:
    """Parts whose gate acted before their verdict came."""
    return sum(line.gate_grounds in _WITHOUT_VERDICT_IN_TIME for line in lines)


def latencies(lines: Iterable[JournalLine]) -> list[float]:
    """Seconds from capture to verdict of each judged part that one boot saw from beginning to end."""
    return [line.latency_seconds for line in lines if line.latency_seconds is not None and line.outcome != "dropped"]


def station_table(
    fates: Sequence[Fate], journals: Journals, accuracy: Mapping[str, Accuracy]
) -> dict[str, StationSummary]:
    """Each station's share."""
    table: dict[str, StationSummary] = {}
    for station in sorted({fate.entry.station for fate in fates}):
        own = [fate for fate in fates if fate.entry.station == station]
        lines = journals.get(station, ())
        thresholds = [fate.verdict.threshold for fate in own if fate.verdict is not None]
        table[station] = StationSummary(
            produced=len(own),
            judged=sum(fate.verdict is not None for fate in own),
            rejected=passed(own).rejected,
            late=late(lines),
            threshold=next((threshold for threshold in thresholds if threshold is not None), None),
            image_auroc=accuracy[station].image_auroc,
            latency_seconds=distribution_of(latencies(lines)),
        )
    return table


def summarise(
    account: Account,
    journals: Journals,
    *,
    accuracy: Accuracy,
    by_station: Mapping[str, Accuracy],
    peaks: PeakTally | None,
    stamp: Mapping[str, Any],
    configuration: Mapping[str, Any],
    faults: Sequence[str],
    duration_seconds: float,
) -> Summary:
    """Put a run's figures together.

    Args:
        account: The joined books.
        journals: What the stations wrote down.
        accuracy: Of the whole run.
        by_station: The same for each station.
        peaks: Whether the maps point at the defects.
        stamp: `machine`, `versions`, `commit` and `seed`.
        configuration: What the run was told to do.
        faults: Why the run proves nothing, one sentence each.
        duration_seconds: From the first process's start to the last one's end.
    """
    verdicts = [fate.verdict for fate in account.fates if fate.verdict is not None]
    lines = [line for station in sorted(journals) for line in journals[station]]
    service_stages = {name for verdict in verdicts for name in verdict.stages}
    return Summary(
        produced=account.produced,
        judged=account.judged,
        dropped=account.dropped,
        duplicates=account.duplicates,
        image_auroc=accuracy.image_auroc,
        pixel_auroc=accuracy.pixel_auroc,
        pixel_f1=accuracy.pixel_f1,
        aupro=accuracy.aupro,
        parts_per_second=parts_per_second(account.fates),
        payload_bytes=distribution_of(line.payload_bytes for line in lines if line.payload_bytes),
        latency_seconds=distribution_of(latencies(lines)),
        machine=stamp["machine"],
        versions=stamp["versions"],
        commit=stamp["commit"],
        seed=stamp["seed"],
        proven=not faults,
        faults=list(faults),
        configuration=dict(configuration),
        outcomes={outcome: sum(verdict.outcome == outcome for verdict in verdicts) for outcome in OUTCOMES},
        verdicts=verdict_table(account.fates),
        stations=station_table(account.fates, journals, by_station),
        stage_seconds=stage_times(lines, service_stages),
        transmission_seconds=_of_stage(TRANSMISSION, lines),
        uplink_seconds=_of_stage(UPLINK, lines),
        server_seconds=distribution_of(verdict.server_seconds for verdict in verdicts),
        wire_bytes=distribution_of(line.wire_bytes for line in lines if line.payload_bytes),
        late=late(lines),
        peaks_in_mask=peaks,
        unwitnessed=account.unwitnessed,
        damaged=account.damaged,
        maps=accuracy.maps,
        maps_missing=accuracy.maps_missing,
        duration_seconds=duration_seconds,
    )


def _of_stage(stage: str, lines: Sequence[JournalLine]) -> Distribution | None:
    return distribution_of(line.stages[stage] for line in lines if stage in line.stages)


def write_summary(summary: Summary) -> bytes:
    """The summary as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(summary), indent=2) + b"\n"
