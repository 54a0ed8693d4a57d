"""A batch's way from bytes to acknowledgements: open, known or new, score, record, reply.

The order is the promise. An answer is published only after it has been recorded, and a delivery is acknowledged only
after its answer has been handed to the link. Whatever ends the process in between, the edge node sends the part again
and gets the recorded bytes.
"""

import time
from collections.abc import Callable, Sequence

from analytics_service.inspection.decisions import (
    Decision,
    Judged,
    Refused,
    Unscorable,
    answer_to,
    dropped,
    frames_of,
    is_fresh,
    refused,
)
from analytics_service.inspection.opening import Damaged, Drop, Opened, open_all
from analytics_service.inspection.part_counts import PartCounts
from analytics_service.inspection.recorder import OutcomeRecorder
from analytics_service.inspection.reply_publisher import ReplyPublisher
from analytics_service.inspection.scoring import PartScorer
from patchline.mqtt.delivery import Delivery
from patchline.wire.topics import Topics


class Pipeline:
    """Takes batches all the way; each step is a function from list to list.

    Args:
        scorer: Scores what is new.
        recorder: Reads and writes the records.
        replies: Publishes.
        counts: Shows what was done.
        topics: The topic tree.
        clock: Monotonic seconds, the clock of `Delivery.received_at`.
        wall: Seconds since the epoch.
    """

    def __init__(
        self,
        scorer: PartScorer,
        recorder: OutcomeRecorder,
        replies: ReplyPublisher,
        counts: PartCounts,
        *,
        topics: Topics,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._scorer, self._recorder, self._replies, self._counts = scorer, recorder, replies, counts
        self._topics, self._clock, self._wall = topics, clock, wall

    def work(self, batch: Sequence[Delivery]) -> None:
        """Take one batch from bytes to acknowledgements.

        Raises:
            StoppedError: The records stay away and the service stops; nothing was answered or acknowledged.
        """
        opened = open_all(batch, self._topics)
        recalled = self._recorder.recall(opened)
        answers = [answer_to(each, recalled) for each in opened]
        new = [each for each, answer in zip(opened, answers, strict=True) if not answer]
        decisions = self._decide(new)
        stored = self._recorder.record(decisions)
        answers = [answer or answer_to(each, stored) for each, answer in zip(opened, answers, strict=True)]
        answered = [(each, answer) for each, answer in zip(opened, answers, strict=True) if answer]
        fresh = [decision for decision in decisions if is_fresh(decision, stored)]
        self._reply(answered, fresh)
        for delivery in batch:
            delivery.acknowledge()
        self._show([each for each, _ in answered], fresh)

    def _decide(self, new: Sequence[Opened]) -> list[Decision]:
        at = self._wall()
        drops = {each.identity["inspection_id"]: each for each in reversed(new) if isinstance(each, Drop)}
        damaged = [each for each in new if isinstance(each, Damaged)]
        return [
            *self._scorer.score(frames_of(new)),
            *(dropped(drop, at=at) for drop in drops.values()),
            *(refused(each, at=at, server_seconds=self._clock() - each.delivery.received_at) for each in damaged),
        ]

    def _reply(self, answered: Sequence[tuple[Opened, bytes]], fresh: Sequence[Decision]) -> None:
        for each, answer in answered:
            self._replies.answer(each, answer)
        for decision in fresh:
            if isinstance(decision, Unscorable):
                self._replies.forward_unreadable(decision.frame.station, decision.frame.delivery.payload)
            elif isinstance(decision, Refused):
                self._replies.forward_unreadable(decision.damaged.station, decision.damaged.delivery.payload)

    def _show(self, answered: Sequence[Opened], fresh: Sequence[Decision]) -> None:
        for decision in fresh:
            if isinstance(decision, Judged):
                self._replies.illustrate(decision)
            self._counts.count(decision)
        self._counts.count_messages(answered, sum(not isinstance(decision, Refused) for decision in fresh))
