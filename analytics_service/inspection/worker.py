"""The service's loop: a micro-batch from the waiting line is opened, judged, recorded, answered and acknowledged.

The order is the promise. A verdict is published only after it has been recorded, and a delivery is acknowledged only
after its verdict has been handed to the link. Whatever ends the process in between, the edge node sends the part again
and gets the recorded verdict, byte for byte.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from analytics_service.inspection.artifact_wait import ArtifactWait
from analytics_service.inspection.delivery_queue import DeliveryQueue
from analytics_service.inspection.inspector import inspect
from analytics_service.inspection.intake import ArtifactLookup, admit, open_envelope
from analytics_service.inspection.judgement import judge, judge_unreadable
from analytics_service.inspection.part_in_progress import PartInProgress, answer_to, decisions_of, take_recorded
from analytics_service.inspection.reply_publisher import ReplyPublisher
from analytics_service.inspection.score_monitor import ScoreMonitor
from analytics_service.metrics import Metrics
from analytics_service.records.decisions import Decisions, RecordedOutcomes
from patchline.mqtt.delivery import Delivery
from patchline.wire.errors import UnavailableError, UnreadableError
from patchline.wire.messages import DropReason, sha256_of
from patchline.wire.topics import Topics

log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 5.0

T = TypeVar("T")


class RecordsBook(Protocol):
    """What the worker needs of the records."""

    def verdicts_of(self, inspection_ids: Sequence[str]) -> dict[str, bytes]:
        """The published bytes of those parts that have been judged already."""

    def drop_reasons_of(self, inspection_ids: Sequence[str]) -> dict[str, DropReason]:
        """Why those parts that were told as drops were dropped."""

    def letters_of(self, digests: Sequence[str]) -> dict[tuple[str, str], bytes]:
        """The published bytes for those unreadable messages that have come before, by digest and station."""

    def store(self, decisions: Decisions) -> RecordedOutcomes:
        """Record a micro-batch in one transaction; the first end of a part stands."""


class StoppedError(Exception):
    """The worker was told to give up what it holds; the edge nodes will send it again."""


class Worker:
    """Judges what arrives; one thread runs `run`.

    Args:
        arrivals: The waiting line; `run` ends once it is closed and empty.
        post: What publishes answers, maps and unreadable messages.
        stopped: Once set, records and broker are not waited for any more.
        batch_parts: Messages in one micro-batch at most.
        wait_seconds: How long the first message of a micro-batch waits for company. None waits by default: what comes
            while a batch is judged is the next one, so that company is found when the service is busy.
        patience: With an artifact that other workers have already; none where there are no others.
        clock: Monotonic seconds, the clock of `Delivery.received_at`.
        wall: Seconds since the epoch.
    """

    def __init__(
        self,
        delivery_queue: DeliveryQueue,
        *,
        artifacts: ArtifactLookup,
        records: RecordsBook,
        post: ReplyPublisher,
        topics: Topics,
        metrics: Metrics,
        stopped: threading.Event,
        batch_parts: int = 8,
        wait_seconds: float = 0.0,
        patience: ArtifactWait | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._delivery_queue, self._artifacts, self._records, self._post = delivery_queue, artifacts, records, post
        self._topics, self._metrics, self._stopped = topics, metrics, stopped
        self._batch_parts, self._wait_seconds = batch_parts, wait_seconds
        self._patience, self._clock, self._wall = patience, clock, wall
        self._scores = ScoreMonitor(metrics)

    def run(self) -> None:
        """Work until the waiting line is closed and empty, or the records stay away after `stopped`."""
        while batch := self._delivery_queue.take(limit=self._batch_parts, wait_seconds=self._wait_seconds):
            try:
                with self._metrics.watchdog.working("worker"):
                    self.work(batch)
            except StoppedError:
                log.warning("gave up %d messages, the records are away; they will be sent again", len(batch))
                return

    def work(self, batch: Sequence[Delivery]) -> None:
        """Take one micro-batch all the way from bytes to acknowledgements."""
        self._metrics.batch_parts.observe(len(batch))
        started = self._clock()
        cases = [self._open(delivery) for delivery in batch]
        self._recall(cases)
        self._admit_all(cases)
        self._inspect(cases, started)
        for case in cases:
            if case.error is not None:
                self._judge_unreadable(case, case.error)
        decisions = decisions_of(cases, at=self._wall())
        take_recorded(cases, self._insist(lambda: self._records.store(decisions)))
        for case in cases:
            self._post.answer(case)
            self._post.forward_unreadable(case)
            case.delivery.acknowledge()
        for case in cases:
            self._post.illustrate(case)
            self._count(case)

    def _open(self, delivery: Delivery) -> PartInProgress:
        case = PartInProgress(delivery, sha256_of(delivery.payload))
        try:
            case.station = self._topics.parse(delivery.topic)[0]
            case.envelope = open_envelope(delivery.payload, delivery.topic, topics=self._topics)
        except UnreadableError as error:
            case.error = error
        return case

    def _recall(self, cases: Sequence[PartInProgress]) -> None:
        """Give every part that has its verdict already the very same bytes again, and a dropped one its receipt.

        So it is with a message that was called unreadable: its edge node may have closed the part on that word, and
        must not hear another one because an artifact has come meanwhile.
        """
        ids = [case.inspection_id for case in cases if case.envelope is not None]
        known = self._insist(lambda: self._records.verdicts_of(ids))
        dropped = self._insist(lambda: self._records.drop_reasons_of(ids))
        for case in cases:
            if case.envelope is not None:
                case.answer = answer_to(case.envelope.message, known, dropped)
        open_cases = [case for case in cases if case.frame is not None and not case.answer]
        dead_letters = self._insist(lambda: self._records.letters_of([case.received_sha256 for case in open_cases]))
        for case in open_cases:
            case.answer = dead_letters.get((case.received_sha256, str(case.station)), b"")

    def _admit_all(self, cases: Sequence[PartInProgress]) -> None:
        """Decode every frame that has no answer yet; of a part that came twice, the first copy that is whole.

        A part whose drop came in the same batch is not judged: its picture gets the answer of the drop.
        """
        decoded = {case.inspection_id for case in cases if case.drop is not None}
        for case in cases:
            if case.envelope is None or case.frame is None or case.answer or case.inspection_id in decoded:
                continue
            started = self._clock()
            try:
                case.inspection = admit(case.envelope, case.frame, artifacts=self._artifacts)
            except UnreadableError as error:
                if error.code == "artifact" and self._patience and self._patience.waits_for(case.frame.artifact):
                    log.info("part %s is left to be sent again: %s", case.frame.part_id, error)
                else:
                    case.error = error
            else:
                decoded.add(case.inspection_id)
            case.decode_seconds = self._clock() - started

    def _inspect(self, cases: Sequence[PartInProgress], started: float) -> None:
        admitted = [(case, case.inspection) for case in cases if case.inspection is not None]
        findings = inspect([inspection for _, inspection in admitted], clock=self._clock)
        for (case, inspection), finding in zip(admitted, findings, strict=True):
            case.finding = finding
            case.decide(
                judge(
                    inspection,
                    finding,
                    judged_at=self._wall(),
                    server_seconds=self._clock() - case.delivery.received_at,
                    stages={"queue": started - case.delivery.received_at, "decode": case.decode_seconds},
                )
            )

    def _judge_unreadable(self, case: PartInProgress, error: UnreadableError) -> None:
        if case.station is None:
            log.warning("ignored a message on %s: %s", case.delivery.topic, error)
            return
        case.decide(
            judge_unreadable(
                error,
                station=case.station,
                received_sha256=case.received_sha256,
                envelope=case.envelope,
                judged_at=self._wall(),
                server_seconds=self._clock() - case.delivery.received_at,
            )
        )

    def _insist(self, operation: Callable[[], T]) -> T:
        """Wait for the records to come back, however long it takes: without them nothing may be answered."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                result = operation()
            except UnavailableError as error:
                self._metrics.watchdog.beat("worker")
                self._metrics.records_up.set(0)
                self._metrics.records_errors.inc()
                log.warning("trying again in %.2f s: %s", pause, error)
                if self._stopped.wait(pause):
                    raise StoppedError from error
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            else:
                self._metrics.records_up.set(1)
                return result

    def _count(self, case: PartInProgress) -> None:
        metrics = self._metrics
        if case.error is not None:
            metrics.unreadable.labels(case.error.code).inc()
            metrics.dead_letters.inc(int(case.fresh))
        elif case.drop is not None and case.fresh:
            metrics.drops.labels(case.drop.reason).inc()
        elif not case.fresh and case.answer:
            metrics.repeats.inc()
        if case.judged is None or not case.fresh:
            return
        verdict = case.judged.verdict
        metrics.verdicts.labels(verdict.outcome).inc()
        metrics.server_seconds.observe(verdict.server_seconds)
        for stage, seconds in verdict.stages.items():
            metrics.stage_seconds.labels(stage).observe(seconds)
        if case.inspection is not None and case.finding is not None and case.station is not None:
            self._scores.note(case.station, case.inspection.artifact, case.finding.score)
        if case.frame is not None:
            metrics.payload_bytes.labels(verdict.codec or "unknown").observe(len(case.frame.payload))
