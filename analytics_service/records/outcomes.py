"""What is recorded of parts and of unreadable messages; pure data, and the rows it becomes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from patchline.wire.errors import UnreadableError
from patchline.wire.messages import DropMessage, DropReceipt, Verdict, to_json

Kind = Literal["verdict", "drop", "unreadable"]
"""How a part ended: it was scored, it was dropped, or its intact message could not be scored."""

MAX_PART_ID_CHARACTERS = 256
MAX_DETAIL_CHARACTERS = 2048


@dataclass(frozen=True, slots=True)
class PartOutcome:
    """The one outcome of a part.

    Attributes:
        kind: How the part ended.
        result: The verdict's outcome, or the reason of the drop.
        body: The bytes that are published; every repeat gets the same.
        detail: What a person should know: why a part was dropped or could not be scored.
        recorded_at: Seconds since the epoch.
    """

    inspection_id: str
    station: str
    sequence: int
    part_id: str
    captured_at: float
    kind: Kind
    result: str
    body: bytes
    recorded_at: float
    score: float | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that could not be read or scored; its bytes are kept for repair.

    Attributes:
        sequence: The part's number, if the message said it; None otherwise.
        ends_part: The part ended with it, so it is kept only if that outcome is the first one.
        answer: The bytes that are published for this message.
        recorded_at: Seconds since the epoch.
    """

    received_sha256: str
    station: str
    topic: str
    inspection_id: str
    sequence: int | None
    code: str
    reason: str
    received: bytes
    answer: bytes
    recorded_at: float
    ends_part: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """Digest and station: one row for each."""
        return self.received_sha256, self.station


@dataclass(frozen=True, slots=True)
class RecordedOutcome:
    """How a part ended, as far as an answer needs it. `forgotten` means that retention deleted it."""

    kind: Kind | Literal["forgotten"]
    body: bytes


@dataclass(frozen=True, slots=True)
class Mark:
    """Up to where retention deleted outcomes of a station.

    Attributes:
        sequence: The highest number that was deleted.
        captured_at: The latest time of capture among them, by the station's clock. A station that lost its outbox
            counts from 1 again; its new parts are later than this.
    """

    sequence: int
    captured_at: float

    def closes(self, sequence: int, captured_at: float) -> bool:
        """Whether a part of this number and time was closed before retention came to it."""
        return sequence <= self.sequence and captured_at <= self.captured_at


@dataclass(frozen=True, slots=True)
class Recalled:
    """What is on record of the messages of a batch.

    Attributes:
        outcomes: By inspection id.
        letters: The answers to unreadable messages, by digest and station.
        marks: By station.
    """

    outcomes: Mapping[str, RecordedOutcome]
    letters: Mapping[tuple[str, str], bytes]
    marks: Mapping[str, Mark]


@dataclass(frozen=True, slots=True)
class Stored:
    """What is on record after a batch was stored.

    Attributes:
        outcomes: Of every part of the batch, by inspection id.
        letters: The answers to the batch's unreadable messages, by digest and station.
        fresh: The inspection ids whose outcome this batch was the first to record.
        fresh_letters: The unreadable messages that this batch was the first to record.
    """

    outcomes: Mapping[str, RecordedOutcome]
    letters: Mapping[tuple[str, str], bytes]
    fresh: frozenset[str]
    fresh_letters: frozenset[tuple[str, str]]


def outcome_of_verdict(verdict: Verdict, *, recorded_at: float) -> PartOutcome:
    """The outcome of a part that was judged, or that could not be."""
    return PartOutcome(
        **_part_of(verdict),
        kind="unreadable" if verdict.outcome == "unreadable" else "verdict",
        result=verdict.outcome,
        body=to_json(verdict),
        recorded_at=recorded_at,
        score=verdict.score,
        detail=verdict.reason,
    )


def outcome_of_drop(drop: DropMessage, *, recorded_at: float) -> PartOutcome:
    """The outcome of a part that its station dropped."""
    receipt = DropReceipt(
        inspection_id=drop.inspection_id,
        station=drop.station,
        boot_id=drop.boot_id,
        sequence=drop.sequence,
        part_id=drop.part_id,
        captured_at=drop.captured_at,
        traceparent=drop.traceparent,
        reason=drop.reason,
    )
    return PartOutcome(
        **_part_of(drop),
        kind="drop",
        result=drop.reason,
        body=to_json(receipt),
        recorded_at=recorded_at,
        detail=drop.detail,
    )


def dead_letter_of(
    verdict: Verdict, error: UnreadableError, *, topic: str, received: bytes, identified: bool, ends_part: bool = False
) -> DeadLetter:
    """The dead letter of a message whose verdict says that it is unreadable.

    Args:
        verdict: The answer to the message.
        error: What is wrong with it.
        topic: Where it came in.
        received: Its bytes.
        identified: The message said which part it is about.
        ends_part: The part ended with it.
    """
    return DeadLetter(
        received_sha256=verdict.received_sha256,
        station=verdict.station,
        topic=topic,
        inspection_id=verdict.inspection_id,
        sequence=verdict.sequence if identified else None,
        code=error.code,
        reason=verdict.reason,
        received=received,
        answer=to_json(verdict),
        recorded_at=verdict.judged_at,
        ends_part=ends_part,
    )


def _part_of(message: Verdict | DropMessage) -> dict[str, Any]:
    fields = ("inspection_id", "station", "sequence", "part_id", "captured_at")
    return {name: getattr(message, name) for name in fields}


def row_of_outcome(outcome: PartOutcome) -> dict[str, Any]:
    """An outcome as its row."""
    return {
        "inspection_id": outcome.inspection_id,
        "station": outcome.station,
        "sequence": outcome.sequence,
        "part_id": printable(outcome.part_id)[:MAX_PART_ID_CHARACTERS],
        "captured_at": outcome.captured_at,
        "kind": outcome.kind,
        "result": outcome.result,
        "score": outcome.score,
        "detail": printable(outcome.detail)[:MAX_DETAIL_CHARACTERS],
        "body": outcome.body,
        "recorded_at": outcome.recorded_at,
    }


def row_of_letter(letter: DeadLetter, max_bytes: int) -> dict[str, Any]:
    """A dead letter as its row; only the first bytes of the message are kept."""
    return {
        "received_sha256": letter.received_sha256,
        "station": letter.station,
        "topic": letter.topic,
        "inspection_id": letter.inspection_id,
        "sequence": letter.sequence,
        "code": letter.code,
        "reason": printable(letter.reason)[:MAX_DETAIL_CHARACTERS],
        "received_bytes": len(letter.received),
        "received": letter.received[:max_bytes],
        "answer": letter.answer,
        "recorded_at": letter.recorded_at,
    }


def printable(text: str) -> str:
    """The text with everything escaped that a database or a terminal does not take: control characters, surrogates."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text)
