"""One delivery on its way through the worker, and what has become of it so far."""

from collections.abc import Mapping
from dataclasses import dataclass

from analytics_service.inspection.inspector import Finding
from analytics_service.inspection.intake import Envelope, Inspection
from analytics_service.inspection.judgement import receipt_of
from analytics_service.records.decisions import DeadLetter, Decisions, RecordedOutcomes, RecordedVerdict
from patchline.mqtt.delivery import Delivery
from patchline.wire.errors import UnreadableError
from patchline.wire.messages import DropMessage, DropReason, EdgeMessage, FrameMessage, Verdict, to_json
from patchline.wire.topics import Station


@dataclass(slots=True)
class PartInProgress:
    """A delivery and its fate; the worker fills it in, stage by stage.

    Attributes:
        station: The topic's; None where the topic is nobody's.
        error: Why it is unreadable, if it is.
        judged: The verdict decided now, and its bytes.
        answer: The bytes to publish: the verdict that stands, or the receipt of a drop.
        fresh: The answer was decided now; otherwise it was found in the records.
    """

    delivery: Delivery
    received_sha256: str
    station: Station | None = None
    envelope: Envelope | None = None
    error: UnreadableError | None = None
    inspection: Inspection | None = None
    decode_seconds: float = 0.0
    finding: Finding | None = None
    judged: RecordedVerdict | None = None
    answer: bytes = b""
    fresh: bool = False

    @property
    def frame(self) -> FrameMessage | None:
        """The frame it carries, if it is one and can be read."""
        message = self.envelope.message if self.envelope else None
        return message if isinstance(message, FrameMessage) else None

    @property
    def drop(self) -> DropMessage | None:
        """The drop it carries, if it is one and can be read."""
        message = self.envelope.message if self.envelope else None
        return message if isinstance(message, DropMessage) else None

    @property
    def inspection_id(self) -> str:
        """The part it is about: as its envelope says, or as its unreadable verdict does."""
        if self.envelope is not None:
            return self.envelope.message.inspection_id
        return self.judged.verdict.inspection_id if self.judged else ""

    def decide(self, verdict: Verdict) -> None:
        """Note the verdict decided now."""
        self.judged = RecordedVerdict(verdict, to_json(verdict))


def decisions_of(cases: list[PartInProgress], *, at: float) -> Decisions:
    """What has to be recorded: everything that has no answer yet.

    Args:
        cases: A micro-batch.
        at: Seconds since the epoch.
    """
    decisions = Decisions()
    for case in cases:
        if case.answer:
            continue
        if case.drop is not None:
            decisions.dropped.append((case.drop, at))
        elif case.judged is not None and case.error is not None:
            decisions.dead.append(
                DeadLetter(
                    case.delivery.topic,
                    case.delivery.payload,
                    case.error.code,
                    case.judged,
                    identified=case.envelope is not None,
                )
            )
        elif case.judged is not None:
            decisions.judged.append(case.judged)
    return decisions


def take_recorded(cases: list[PartInProgress], standing: RecordedOutcomes) -> None:
    """Give every case the answer that stands; a part that came twice in one batch gets the same bytes twice.

    Whoever decided otherwise than another worker did before publishes that one's end: it closes the part at the edge
    as well as the own one would have.
    """
    uncounted = set(standing.fresh & standing.dropped.keys())
    for case in cases:
        if case.answer:
            continue
        if case.error is not None:
            case.answer = standing.dead_letters.get((case.received_sha256, case.delivery.topic), b"")
        elif case.envelope is not None:
            case.answer = answer_to(case.envelope.message, standing.verdicts, standing.dropped)
        if case.judged is not None:
            case.fresh = case.answer == case.judged.encoded
        elif case.drop is not None and case.inspection_id in uncounted:
            case.fresh = True
            uncounted.remove(case.inspection_id)


def answer_to(message: EdgeMessage, verdicts: Mapping[str, bytes], dropped: Mapping[str, DropReason]) -> bytes:
    """What to publish for a message: its part's verdict, the receipt of its part's drop, or nothing if it has no end.

    A picture that gave way in a full outbox may still come, from a broker that kept it: its part stays dropped.
    """
    verdict = verdicts.get(message.inspection_id, b"")
    if verdict or message.inspection_id not in dropped:
        return verdict
    return to_json(receipt_of(message, dropped[message.inspection_id]))
