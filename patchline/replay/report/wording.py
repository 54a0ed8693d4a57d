"""The report's sentences: what a run showed, in plain words."""

from collections.abc import Iterator, Mapping
from typing import Any

from patchline.pictures.files import GOOD
from patchline.replay.summary import Summary


def headline(summary: Summary) -> str:
    """The result of reconciliation in one sentence."""
    dropped = sum(summary.dropped.values())
    lost = summary.produced - summary.judged - dropped
    words = [f"{counted(summary.produced, 'part')} produced, {summary.judged} judged"]
    if dropped:
        reasons = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in summary.dropped.items())
        words.append(f"{dropped} dropped ({reasons})")
    words.append(f"{lost} lost")
    return ", ".join(words) + "."


def findings(summary: Summary) -> list[str]:
    """What a person wants to know next, one sentence each."""
    told = summary.configuration
    return [*_verdicts(summary), *_thresholds(told), *_constraints(told), *_hitches(summary)]


def _verdicts(summary: Summary) -> Iterator[str]:
    good, defect, outcomes = summary.verdicts[GOOD], summary.verdicts["defect"], summary.outcomes
    if defect.produced:
        yield f"{_share(defect.rejected, defect.produced, 'defective part')} rejected."
    if good.produced:
        yield f"{_share(good.rejected, good.produced, 'good part')} rejected."
    if outcomes["uncalibrated"]:
        yield f"{counted(outcomes['uncalibrated'], 'part')} had no threshold: too few normal pictures."
    if outcomes["unreadable"]:
        yield f"{counted(outcomes['unreadable'], 'picture')} could not be read."
    if summary.peaks_in_mask is not None:
        inside, total = summary.peaks_in_mask.inside, summary.peaks_in_mask.of
        parts = counted(total, "rejected defective part")
        yield f"In {inside} of {parts} the hottest point of the anomaly map lies on the defect."


def _hitches(summary: Summary) -> Iterator[str]:
    if summary.late:
        yield f"{counted(summary.late, 'verdict')} came too late for the gate."
    if summary.duplicates:
        repeats = counted(summary.duplicates, "verdict")
        yield f"{repeats} came again on the wire, byte for byte the same, and counted once."
    if summary.damaged:
        yield f"{counted(summary.damaged, 'message')} came damaged and had to be sent again."
    if summary.maps and summary.maps_missing:
        lost = counted(summary.maps_missing, "anomaly map")
        yield f"The pixel figures rest on {counted(summary.maps, 'anomaly map')}; {lost} never came (maps go at QoS 0)."
    if summary.unwitnessed:
        missed = counted(summary.unwitnessed, "verdict")
        yield f"For {missed} the records are the witness: the independent watcher was off the line just then."


def _constraints(configuration: Mapping[str, Any]) -> Iterator[str]:
    if configuration.get("uplink_shaped_by"):
        rate = configuration["uplink_bytes_per_second"] / 1000
        yield f"Each station could send {rate:g} kB/s, shaped by {configuration['uplink_shaped_by']}."
    if configuration.get("edge_throttled_by"):
        factor, way = configuration["edge_slowdown"], configuration["edge_throttled_by"]
        yield f"Each station was {factor:g} times slower than one core of this machine, throttled by {way}."


def _thresholds(configuration: Mapping[str, Any]) -> list[str]:
    """What the number of normal pictures allows to be promised, for each artifact of the run."""
    sentences = []
    for name, told in {"": configuration, **configuration}.items():
        if isinstance(told, Mapping) and told.get("threshold") is not None:
            pictures, bound = told["normal_pictures"], told["false_reject_bound"]
            whose = f"The threshold of {name}s" if name else "The threshold"
            sentences.append(
                f"{whose} rests on {counted(pictures, 'normal picture')}, which bound its false rejects at {bound:.1%}."
            )
    return sentences


def _share(some: int, total: int, noun: str) -> str:
    """The subject and verb of a sentence on some of many parts."""
    if some == total:
        return f"All {counted(total, noun)} were" if total > 1 else f"The one {noun} was"
    if some == 0:
        return f"None of the {counted(total, noun)} was" if total > 1 else f"The one {noun} was not"
    return f"{some} of {counted(total, noun)} {'was' if some == 1 else 'were'}"


def counted(count: int, noun: str) -> str:
    """A count with its noun, singular or plural."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
