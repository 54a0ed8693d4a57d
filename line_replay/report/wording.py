"""The report's sentences: what a run showed, in plain words."""

from collections.abc import Mapping
from typing import Any

from line_replay.summary import Summary
from pictures.labels import GOOD


def headline(summary: Summary) -> str:
    """The books in one sentence."""
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
    sentences = []
    good, defect = summary.verdicts[GOOD], summary.verdicts["defect"]
    if defect.produced:
        sentences.append(f"{_share(defect.rejected, defect.produced, 'defective part')} rejected.")
    if good.produced:
        sentences.append(f"{_share(good.rejected, good.produced, 'good part')} rejected.")
    if summary.outcomes["uncalibrated"]:
        count = summary.outcomes["uncalibrated"]
        sentences.append(f"{counted(count, 'part')} had no threshold: too few normal pictures.")
    if summary.outcomes["unreadable"]:
        sentences.append(f"{counted(summary.outcomes['unreadable'], 'picture')} could not be read.")
    if summary.peaks_in_mask is not None:
        peaks = summary.peaks_in_mask
        sentences.append(
            f"In {peaks.inside} of {counted(peaks.of, 'rejected defective part')} the hottest point of the anomaly map "
            "lies on the defect."
        )
    sentences += _thresholds(summary.configuration)
    if summary.late:
        sentences.append(f"{counted(summary.late, 'verdict')} came too late for the gate.")
    if summary.duplicates:
        repeats = counted(summary.duplicates, "verdict")
        sentences.append(f"{repeats} came again on the wire, byte for byte the same, and counted once.")
    if summary.damaged:
        sentences.append(f"{counted(summary.damaged, 'message')} came damaged and had to be sent again.")
    if summary.maps_missing:
        sentences.append(
            f"{counted(summary.maps_missing, 'anomaly map')} got lost or was not asked for; "
            f"the pixel figures rest on the other {summary.maps}."
        )
    if summary.unwitnessed:
        sentences.append(
            f"{counted(summary.unwitnessed, 'verdict')} passed while the independent watcher was off the line; "
            "they were read from the service's records."
        )
    return sentences


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
