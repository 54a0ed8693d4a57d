"""What a batch decides about its messages, what is recorded of it, and what each message is answered."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from analytics_service.inspection.inspector import Finding
from analytics_service.inspection.intake import Inspection
from analytics_service.inspection.judgement import addressed, answer_forgotten, judge_unreadable
from analytics_service.inspection.opening import Damaged, Drop, Frame, Opened
from analytics_service.records.outcomes import (
    DeadLetter,
    PartOutcome,
    Recalled,
    RecordedOutcome,
    Stored,
    dead_letter_of,
    outcome_of_drop,
    outcome_of_verdict,
)
from patchline.wire.errors import UnreadableError
from patchline.wire.messages import Verdict


@dataclass(frozen=True, slots=True)
class Judged:
    """A part that was scored."""

    inspection: Inspection
    finding: Finding
    verdict: Verdict
    outcome: PartOutcome


@dataclass(frozen=True, slots=True)
class Unscorable:
    """A part whose intact message cannot be scored: it ends as `unreadable`, and its bytes are kept."""

    frame: Frame
    error: UnreadableError
    verdict: Verdict
    outcome: PartOutcome
    letter: DeadLetter


@dataclass(frozen=True, slots=True)
class Dropped:
    """A part that its station dropped."""

    drop: Drop
    outcome: PartOutcome


@dataclass(frozen=True, slots=True)
class Refused:
    """A damaged message: it is answered and kept, and ends no part."""

    damaged: Damaged
    letter: DeadLetter


Ended: TypeAlias = Judged | Unscorable | Dropped
Decision: TypeAlias = Ended | Refused


def unscorable(frame: Frame, error: UnreadableError, *, at: float, server_seconds: float) -> Unscorable:
    """The decision about a frame that cannot be scored.

    Args:
        frame: The part.
        error: What is wrong.
        at: Seconds since the epoch.
        server_seconds: Since the message arrived.
    """
    verdict = judge_unreadable(
        error,
        identity=frame.identity,
        received_sha256=frame.received_sha256,
        historical=frame.historical,
        judged_at=at,
        server_seconds=server_seconds,
    )
    letter = dead_letter_of(
        verdict,
        error,
        topic=frame.delivery.topic,
        received=frame.delivery.payload,
        identified=True,
        ends_part=True,
    )
    return Unscorable(frame, error, verdict, outcome_of_verdict(verdict, recorded_at=at), letter)


def dropped(drop: Drop, *, at: float) -> Dropped:
    """The decision about a drop; `at` is seconds since the epoch."""
    return Dropped(drop, outcome_of_drop(drop.message, recorded_at=at))


def refused(damaged: Damaged, *, at: float, server_seconds: float) -> Refused:
    """The decision about a damaged message; arguments as of `unscorable`."""
    verdict = judge_unreadable(
        damaged.error,
        identity=damaged.identity,
        received_sha256=damaged.received_sha256,
        historical=damaged.historical,
        judged_at=at,
        server_seconds=server_seconds,
    )
    letter = dead_letter_of(
        verdict,
        damaged.error,
        topic=damaged.delivery.topic,
        received=damaged.delivery.payload,
        identified=damaged.identified,
    )
    return Refused(damaged, letter)


def unrecordable(decision: Ended, error: UnreadableError) -> Unscorable | Dropped:
    """A decision whose row the database does not take, without the text that came from outside."""
    if isinstance(decision, Dropped):
        return Dropped(decision.drop, _plain(decision.outcome))
    frame = decision.frame if isinstance(decision, Unscorable) else decision.inspection.frame
    instead = unscorable(
        frame,
        UnreadableError(error.reason, code="internal"),
        at=decision.outcome.recorded_at,
        server_seconds=decision.verdict.server_seconds,
    )
    return Unscorable(frame, instead.error, instead.verdict, _plain(instead.outcome), instead.letter)


def answer_to(opened: Opened, recalled: Recalled | Stored) -> bytes:
    """What is published for a message as far as the records say; nothing if they do not know it.

    A picture that gave way in a full outbox may still come, from a broker that kept it: its part stays dropped.
    """
    digest = opened.received_sha256
    letter = recalled.letters.get((digest, str(opened.station)), b"") if isinstance(opened, Damaged) else b""
    if isinstance(opened, Damaged) and (isinstance(recalled, Stored) or not opened.identified):
        return letter
    found = recalled.outcomes.get(opened.identity["inspection_id"]) or _mark_of(opened, recalled)
    if found is None:
        return letter
    if found.kind == "forgotten":
        return answer_forgotten(opened.identity, digest)
    return addressed(found.body, digest) if found.kind == "unreadable" else found.body


def is_fresh(decision: Decision, stored: Stored) -> bool:
    """Whether this batch was the first to record a decision."""
    if isinstance(decision, Refused):
        return decision.letter.key in stored.fresh_letters
    return decision.outcome.inspection_id in stored.fresh


def frames_of(opened: Sequence[Opened]) -> list[Frame]:
    """The frames of a batch that are to be scored: one for each part, and none whose drop came in the same batch."""
    ended = {each.identity["inspection_id"] for each in opened if isinstance(each, Drop)}
    frames = []
    for each in opened:
        if isinstance(each, Frame) and each.identity["inspection_id"] not in ended:
            ended.add(each.identity["inspection_id"])
            frames.append(each)
    return frames


def _mark_of(opened: Opened, recalled: Recalled | Stored) -> RecordedOutcome | None:
    mark = recalled.marks.get(str(opened.station)) if isinstance(recalled, Recalled) else None
    identity = opened.identity
    closed = mark is not None and mark.closes(identity["sequence"], identity["captured_at"])
    return RecordedOutcome("forgotten", b"") if closed else None


def _plain(outcome: PartOutcome) -> PartOutcome:
    """The same outcome with nothing in its row that its station chose freely."""
    return replace(outcome, part_id="", detail="internal")
