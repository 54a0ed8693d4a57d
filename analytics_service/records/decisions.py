"""What a micro-batch decided, what stands of it once it is recorded, and the rows in between; pure."""

from dataclasses import dataclass, field
from typing import Any

from patchline.wire.messages import DropMessage, DropReason, Verdict


@dataclass(frozen=True, slots=True)
class RecordedVerdict:
    """A verdict and the bytes it is published as."""

    verdict: Verdict
    encoded: bytes


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An unreadable message: its bytes, its topic, and the verdict that says what is wrong with it.

    Attributes:
        identified: The envelope could be read, so the verdict names the part the message claims to be about.
    """

    topic: str
    received: bytes
    code: str
    judged: RecordedVerdict
    identified: bool


@dataclass(frozen=True, slots=True)
class Decisions:
    """What one micro-batch decided, to be recorded together."""

    judged: list[RecordedVerdict] = field(default_factory=list)
    dropped: list[tuple[DropMessage, float]] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class RecordedOutcomes:
    """The ends that stand, whoever decided first. A part has one: a verdict, or a drop.

    Attributes:
        verdicts: The published bytes by inspection id.
        dropped: The reasons of drops by inspection id.
        letters: The published bytes by digest and topic of the unreadable message.
        fresh: The inspections that this micro-batch was the first to end.
    """

    verdicts: dict[str, bytes] = field(default_factory=dict)
    dropped: dict[str, DropReason] = field(default_factory=dict)
    dead_letters: dict[tuple[str, str], bytes] = field(default_factory=dict)
    fresh: frozenset[str] = frozenset()


def judged_row(judged: RecordedVerdict) -> dict[str, Any]:
    """A verdict as its row."""
    verdict = judged.verdict
    return {
        "inspection_id": verdict.inspection_id,
        "station": verdict.station,
        "boot_id": verdict.boot_id,
        "sequence": verdict.sequence,
        "part_id": verdict.part_id,
        "outcome": verdict.outcome,
        "score": verdict.score,
        "historical": verdict.historical,
        "verdict": judged.encoded,
        "at": verdict.judged_at,
    }


def drop_row(drop: DropMessage, at: float) -> dict[str, Any]:
    """A drop as its row; `at` is when it was told, in seconds since the epoch."""
    return {
        "inspection_id": drop.inspection_id,
        "station": drop.station,
        "boot_id": drop.boot_id,
        "sequence": drop.sequence,
        "part_id": drop.part_id,
        "reason": drop.reason,
        "detail": drop.detail,
        "at": at,
    }


def letter_row(letter: DeadLetter, max_bytes: int) -> dict[str, Any]:
    """An unreadable message as its row, of its bytes the first ones only."""
    verdict = letter.judged.verdict
    return {
        "received_sha256": verdict.received_sha256,
        "topic": letter.topic,
        "station": verdict.station,
        "inspection_id": verdict.inspection_id,
        "sequence": verdict.sequence if letter.identified else None,
        "code": letter.code,
        "reason": verdict.reason,
        "received_bytes": len(letter.received),
        "received": letter.received[:max_bytes],
        "verdict": letter.judged.encoded,
        "at": verdict.judged_at,
    }
