"""Recording a batch: an absent database is waited for, and a row it does not take stops no other part."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from analytics_service.inspection.decisions import Decision, Ended, Refused, Unscorable, unrecordable
from analytics_service.inspection.opening import Damaged, Opened
from analytics_service.metrics import Metrics
from analytics_service.records.outcomes import DeadLetter, PartOutcome, Recalled, Stored
from patchline.wire.errors import UnavailableError, UnreadableError

log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 5.0

T = TypeVar("T")


class StoppedError(Exception):
    """The service stops and the records are away; the edge nodes will send the parts again."""


class RecordsStore(Protocol):
    """What the recorder needs of the records."""

    def recall(self, *, inspection_ids: Sequence[str], digests: Sequence[str], stations: Sequence[str]) -> Recalled:
        """What is on record of a batch."""

    def store(self, outcomes: Sequence[PartOutcome], letters: Sequence[DeadLetter]) -> Stored:
        """Record a batch in one transaction; the first outcome of a part stands."""


class OutcomeRecorder:
    """Reads and writes the records for the worker.

    Args:
        records: The records.
        metrics: Where absences and the time of recording are shown.
        stopped: Once set, the records are not waited for any more.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        records: RecordsStore,
        *,
        metrics: Metrics,
        stopped: threading.Event,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._records, self._metrics, self._stopped, self._clock = records, metrics, stopped, clock
        self._available = True
        metrics.records_up.set(1)

    @property
    def available(self) -> bool:
        """Whether the records answered the last time they were asked."""
        return self._available

    def recall(self, opened: Sequence[Opened]) -> Recalled:
        """What is on record of a batch's messages.

        Raises:
            StoppedError: The records stay away.
        """
        return self._insist(
            lambda: self._records.recall(
                inspection_ids=[each.identity["inspection_id"] for each in opened],
                digests=[each.received_sha256 for each in opened if isinstance(each, Damaged)],
                stations=[str(each.station) for each in opened],
            )
        )

    def record(self, decisions: Sequence[Decision]) -> Stored:
        """Record the outcomes of a batch; return what is on record then. The first writer wins.

        Raises:
            StoppedError: The records stay away.
            UnreadableError: The database does not even take a row without any text from outside.
        """
        if not decisions:
            return Stored({}, {}, frozenset(), frozenset())
        started = self._clock()
        try:
            return self._store(decisions)
        except UnreadableError as error:
            log.warning("a batch of %d decisions is recorded one by one: %s", len(decisions), error)
            return _joined([self._store_one(decision) for decision in decisions])
        finally:
            self._metrics.record_seconds.observe(self._clock() - started)

    def _store_one(self, decision: Decision) -> Stored:
        try:
            return self._store([decision])
        except UnreadableError as error:
            if isinstance(decision, Refused):
                raise
            log.exception("part %s cannot be recorded as decided", decision.outcome.inspection_id)
            return self._store([unrecordable(decision, error)])

    def _store(self, decisions: Sequence[Decision]) -> Stored:
        outcomes = [decision.outcome for decision in decisions if isinstance(decision, Ended)]
        letters = [decision.letter for decision in decisions if isinstance(decision, Refused | Unscorable)]
        return self._insist(lambda: self._records.store(outcomes, letters))

    def _insist(self, operation: Callable[[], T]) -> T:
        """Wait for the records to come back, however long it takes: without them nothing may be answered."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                result = operation()
            except UnavailableError as error:
                self._show(available=False)
                self._metrics.watchdog.beat("worker")
                self._metrics.records_errors.inc()
                log.warning("trying again in %.2f s: %s", pause, error)
                if self._stopped.wait(pause):
                    raise StoppedError from error
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            else:
                self._show(available=True)
                return result

    def _show(self, *, available: bool) -> None:
        self._available = available
        self._metrics.records_up.set(int(available))


def _joined(parts: Sequence[Stored]) -> Stored:
    outcomes = {name: outcome for part in parts for name, outcome in part.outcomes.items()}
    letters = {key: answer for part in parts for key, answer in part.letters.items()}
    fresh = frozenset().union(*(part.fresh for part in parts))
    return Stored(outcomes, letters, fresh, frozenset().union(*(part.fresh_letters for part in parts)))
