"""The worker's promise: recorded, then published, then acknowledged, and never two answers to one part."""

import threading
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from analytics_service.inspection import recorder as recorder_module
from analytics_service.inspection import scoring as scoring_module
from analytics_service.inspection.answer_limit import ANSWERS
from analytics_service.inspection.artifact_wait import ArtifactWait
from analytics_service.inspection.delivery_queue import DeliveryQueue
from analytics_service.inspection.identity import identity_of
from analytics_service.inspection.intake import admit
from analytics_service.inspection.part_counts import PartCounts
from analytics_service.inspection.pipeline import Pipeline
from analytics_service.inspection.recorder import OutcomeRecorder
from analytics_service.inspection.reply_publisher import MapPolicy, ReplyPublisher
from analytics_service.inspection.scoring import PartScorer
from analytics_service.inspection.worker import Worker
from analytics_service.metrics import Metrics
from analytics_service.records.outcomes import (
    DeadLetter,
    PartOutcome,
    Recalled,
    Stored,
    outcome_of_drop,
    outcome_of_verdict,
)
from analytics_service.records.records import Records
from patchline.mqtt.delivery import Acknowledged, Delivery
from patchline.vision.detectors.protocol import Rendering
from patchline.wire.errors import MisconfiguredError, UnavailableError
from patchline.wire.messages import (
    DropReceipt,
    FrameMessage,
    MapMessage,
    Receipt,
    Verdict,
    from_json,
    pack,
    sha256_of,
    unpack,
)


class FakeOutlet:
    """Remembers what is published; fails as often as it is told to."""

    def __init__(self, diary: list[str]) -> None:
        self.connected = True
        self.said: list[tuple[str, bytes]] = []
        self.failures: list[Exception] = []
        self.users: list[tuple[tuple[str, str], ...]] = []
        self._diary = diary

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        user: tuple[tuple[str, str], ...] = (),
        on_done: Callable[[Acknowledged], None] | None = None,
        **_properties: object,
    ) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.said.append((topic.rpartition("/")[2], payload))
        self.users.append(user)
        self._diary.append(f"publish {topic.rpartition('/')[2]}")
        if on_done:
            on_done(Acknowledged(accepted=True, reason="Success"))

    def channel(self, name: str) -> list[bytes]:
        return [payload for channel, payload in self.said if channel == name]


class DiaryRecords:
    """Real records that note when they were asked; away as often as they are told to.

    Attributes:
        overtaken_by: What another worker records between our look at the records and our own decisions.
    """

    def __init__(self, records: Records, diary: list[str]) -> None:
        self._records, self._diary = records, diary
        self.absences = 0
        self.overtaken_by: list[PartOutcome] = []

    def recall(self, **asked: Any) -> Recalled:
        return self._records.recall(**asked)

    def store(self, outcomes: Sequence[PartOutcome], letters: Sequence[DeadLetter] = ()) -> Stored:
        if self.absences:
            self.absences -= 1
            raise UnavailableError("the disk is full")
        self._diary.append("store")
        self._records.store(self.overtaken_by)
        return self._records.store(outcomes, letters)


class Hall:
    """A worker with everything around it."""

    def __init__(self, plant: Any, artifact_store: Any, records: Records, maps: MapPolicy = "anomalous") -> None:
        self.plant = plant
        self.diary: list[str] = []
        self.outlet = FakeOutlet(self.diary)
        self.book = DiaryRecords(records, self.diary)
        self.metrics = Metrics(CollectorRegistry())
        self.stopped = threading.Event()
        self.delivery_queue = DeliveryQueue(max_messages=100, max_bytes=10**9)
        self.replies = ReplyPublisher(
            self.outlet, topics=plant.topics, metrics=self.metrics, maps=maps, stopped=self.stopped
        )
        self.recorder = OutcomeRecorder(self.book, metrics=self.metrics, stopped=self.stopped)
        self.counts = PartCounts(self.metrics)
        self.pipeline = self.pipeline_of(artifact_store)
        self.worker = Worker(self.delivery_queue, self.pipeline, metrics=self.metrics)
        self.acknowledged: list[int] = []

    def pipeline_of(self, artifacts: Any, artifact_wait: ArtifactWait | None = None) -> Pipeline:
        scorer = PartScorer(artifacts, artifact_wait=artifact_wait, wall=lambda: 1234.5)
        return Pipeline(scorer, self.recorder, self.replies, self.counts, topics=self.plant.topics, wall=lambda: 1234.5)

    def delivery(self, payload: bytes, channel: str = "frame", number: int = 0) -> Delivery:
        def on_acknowledge() -> None:
            self.diary.append("acknowledge")
            self.acknowledged.append(number)

        return Delivery(topic=self.plant.topic(channel), payload=payload, on_acknowledge=on_acknowledge)

    def work(self, *payloads: bytes, channel: str = "frame") -> list[Verdict | DropReceipt]:
        before = len(self.outlet.channel("verdict"))
        self.pipeline.work([self.delivery(payload, channel, number) for number, payload in enumerate(payloads)])
        return [from_json(payload, Receipt) for payload in self.outlet.channel("verdict")[before:]]

    def sample(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"vad_analytics_{name}", labels) or 0.0


def counts(*, verdicts: int = 0, drops: int = 0, unreadable: int = 0, dead_letters: int = 0) -> dict[str, int]:
    return {"verdicts": verdicts, "drops": drops, "unreadable": unreadable, "dead_letters": dead_letters}


@pytest.fixture
def records(tmp_path: Any) -> Any:
    records = Records(f"sqlite:///{tmp_path}/records.db")
    yield records
    records.close()


@pytest.fixture
def hall(plant: Any, artifact_store: Any, records: Records) -> Hall:
    return Hall(plant, artifact_store, records)


def test_a_verdict_is_recorded_then_published_then_acknowledged(hall: Hall) -> None:
    hall.work(pack(hall.plant.frame(1)))
    assert hall.diary == ["store", "publish verdict", "acknowledge"]


def test_a_verdict_says_whose_part_what_was_found_and_against_what(hall: Hall) -> None:
    frame = hall.plant.frame(1, traceparent="00-abc")
    (verdict,) = hall.work(pack(frame))
    assert isinstance(verdict, Verdict)
    calibration = hall.plant.made.commissioned_codecs[0].artifact.calibration
    assert (verdict.inspection_id, verdict.station, verdict.boot_id) == (frame.inspection_id, frame.station, "boot-1")
    assert (verdict.sequence, verdict.part_id, verdict.captured_at) == (1, "part-1", 2.0)
    assert (verdict.outcome, verdict.threshold) == ("normal", calibration.threshold)
    assert (verdict.false_reject_bound, verdict.artifact, verdict.codec) == (
        calibration.bound,
        frame.artifact,
        "webp:80",
    )
    assert verdict.received_sha256 == sha256_of(pack(frame))
    assert (verdict.judged_at, verdict.historical, verdict.traceparent) == (1234.5, False, "00-abc")
    assert hall.outlet.users[0] == (("traceparent", "00-abc"),)


def test_a_whole_batch_is_one_transaction_and_acknowledged_in_receive_order(hall: Hall) -> None:
    hall.work(*(pack(hall.plant.frame(number)) for number in range(8)))
    assert hall.diary.count("store") == 1
    assert hall.acknowledged == list(range(8))


def test_a_part_that_comes_ten_times_is_judged_once_and_answered_ten_times_alike(hall: Hall, records: Records) -> None:
    for _ in range(10):
        hall.work(pack(hall.plant.frame(1)))
    assert len(hall.outlet.channel("verdict")) == 10
    assert len(set(hall.outlet.channel("verdict"))) == 1
    assert records.counts()["verdicts"] == 1
    assert hall.sample("repeats_total") == 9
    assert hall.sample("verdicts_total", outcome="normal") == 1


def test_a_part_that_comes_twice_in_one_batch_is_answered_twice_alike(hall: Hall, records: Records) -> None:
    payload = pack(hall.plant.frame(1))
    hall.work(payload, payload, pack(hall.plant.frame(2)))
    first, second, other = hall.outlet.channel("verdict")
    assert first == second != other
    assert records.counts()["verdicts"] == 2


def test_a_damaged_copy_before_the_whole_one_in_a_batch_does_not_harm_it(hall: Hall) -> None:
    frame = hall.plant.frame(1)
    damaged = msgspec.structs.replace(frame, payload=b"damaged")
    outcomes = [receipt.outcome for receipt in hall.work(pack(damaged), pack(frame)) if isinstance(receipt, Verdict)]
    assert outcomes == ["unreadable", "normal"]


def test_a_damaged_copy_of_a_judged_part_gets_the_parts_verdict(hall: Hall, records: Records) -> None:
    frame = hall.plant.frame(1)
    hall.work(pack(frame))
    hall.work(pack(msgspec.structs.replace(frame, payload=b"damaged")))
    assert len(set(hall.outlet.channel("verdict"))) == 1
    assert records.counts()["dead_letters"] == 0


def test_a_judged_part_is_answered_even_when_its_artifact_is_gone(hall: Hall) -> None:
    hall.work(pack(hall.plant.frame(1)))
    hall.pipeline = hall.pipeline_of(None)
    hall.work(pack(hall.plant.frame(1)))
    assert len(set(hall.outlet.channel("verdict"))) == 1


def test_poison_is_answered_kept_and_forwarded_and_its_neighbours_are_judged(hall: Hall, records: Records) -> None:
    poison = pack(hall.plant.frame(2))[:-7]
    receipts = hall.work(pack(hall.plant.frame(1)), poison, pack(hall.plant.frame(3)))
    assert [each.outcome for each in receipts if isinstance(each, Verdict)] == ["normal", "unreadable", "normal"]
    verdict = receipts[1]
    assert isinstance(verdict, Verdict)
    assert verdict.received_sha256 == sha256_of(poison)
    assert verdict.station == "plant/line1/cam1"
    assert (verdict.part_id, verdict.sequence, verdict.score) == ("", 0, None)
    assert verdict.reason.startswith("envelope: ")
    assert hall.outlet.channel("unreadable") == [poison]
    assert records.counts() == counts(verdicts=2, drops=0, dead_letters=1)
    assert hall.acknowledged == [0, 1, 2]
    assert hall.sample("unreadable_total", code="envelope") == hall.sample("dead_letters_total") == 1


def test_poison_that_comes_again_gets_the_same_bytes_and_is_forwarded_once(hall: Hall, records: Records) -> None:
    for _ in range(3):
        hall.work(b"\xc1poison")
    assert len(set(hall.outlet.channel("verdict"))) == 1
    assert len(hall.outlet.channel("unreadable")) == 1
    assert records.counts()["dead_letters"] == 1


def test_an_unreadable_verdict_names_the_part_if_the_envelope_could_be_read(hall: Hall) -> None:
    frame = hall.plant.frame(7, artifact="ab" * 32)
    (verdict,) = hall.work(pack(frame))
    assert isinstance(verdict, Verdict)
    assert (verdict.inspection_id, verdict.part_id, verdict.sequence) == (frame.inspection_id, "part-7", 7)
    assert verdict.reason.startswith("artifact: ")


def test_an_envelope_of_another_station_speaks_for_nobody(hall: Hall) -> None:
    frame = hall.plant.frame(7, station="plant/line1/cam2")
    (verdict,) = hall.work(pack(frame))
    assert isinstance(verdict, Verdict)
    assert verdict.station == "plant/line1/cam1"
    assert verdict.inspection_id != frame.inspection_id


def test_a_part_after_its_damaged_copy_gets_its_own_verdict(hall: Hall) -> None:
    frame = hall.plant.frame(1)
    hall.work(pack(msgspec.structs.replace(frame, payload=b"damaged")))
    (verdict,) = hall.work(pack(frame))
    assert isinstance(verdict, Verdict)
    assert verdict.outcome == "normal"


def test_a_drop_is_recorded_and_receipted_the_same_each_time(hall: Hall, records: Records) -> None:
    drop = hall.plant.drop(3)
    (receipt,) = hall.work(pack(drop))
    hall.work(pack(drop))
    assert isinstance(receipt, DropReceipt)
    assert (receipt.inspection_id, receipt.reason) == (drop.inspection_id, "capture_failed")
    assert len(set(hall.outlet.channel("verdict"))) == 1
    assert records.counts() == counts(verdicts=0, drops=1, dead_letters=0)


def test_a_drop_of_a_judged_part_is_answered_with_its_verdict(hall: Hall, records: Records) -> None:
    frame = hall.plant.frame(1)
    hall.work(pack(frame))
    drop = msgspec.structs.replace(hall.plant.drop(1), inspection_id=frame.inspection_id)
    (receipt,) = hall.work(pack(drop))
    assert isinstance(receipt, Verdict)
    assert records.counts()["drops"] == 0


def test_the_backlog_is_judged_and_marked_historical(hall: Hall) -> None:
    (verdict,) = hall.work(pack(hall.plant.frame(1)), channel="backlog")
    assert isinstance(verdict, Verdict)
    assert verdict.historical


@pytest.mark.parametrize(("policy", "shown"), [("anomalous", 1), ("all", 2), ("none", 0)])
def test_maps_are_published_for_whom_the_setting_says(
    plant: Any, artifact_store: Any, records: Records, policy: MapPolicy, shown: int
) -> None:
    hall = Hall(plant, artifact_store, records, policy)
    hall.work(pack(plant.frame(1)), pack(plant.frame(2, defect=True)))
    maps: list[MapMessage] = [unpack(payload, MapMessage) for payload in hall.outlet.channel("map")]
    assert len(maps) == shown
    assert all((each.low, each.high) == plant.made.commissioned_codecs[0].artifact.header.map_range for each in maps)


def test_a_full_window_is_waited_for(hall: Hall) -> None:
    hall.outlet.failures = [UnavailableError("full")] * 3
    hall.work(pack(hall.plant.frame(1)))
    assert hall.diary == ["store", "publish verdict", "acknowledge"]


def test_a_lost_connection_is_not_waited_for_and_the_repeat_gets_the_recorded_verdict(hall: Hall) -> None:
    hall.outlet.connected, hall.outlet.failures = False, [UnavailableError("gone")]
    assert hall.work(pack(hall.plant.frame(1))) == []
    assert hall.sample("undelivered_total", channel="verdict") == 1
    hall.outlet.connected = True
    assert len(hall.work(pack(hall.plant.frame(1)))) == 1
    assert hall.diary.count("store") == 1
    assert hall.sample("verdicts_total", outcome="normal") == 1


def test_a_message_the_broker_would_not_take_does_not_stop_the_line(hall: Hall) -> None:
    hall.outlet.failures = [MisconfiguredError("a packet of 9 bytes is over the limit of 8")]
    hall.work(pack(hall.plant.frame(1)), pack(hall.plant.frame(2)))
    assert hall.acknowledged == [0, 1]


def test_nothing_is_answered_while_the_records_are_away(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "FIRST_PAUSE_SECONDS", 0.001)
    hall.book.absences = 3
    hall.work(pack(hall.plant.frame(1)))
    assert hall.diary == ["store", "publish verdict", "acknowledge"]
    assert hall.sample("records_errors_total") == 3


def test_a_stop_while_the_records_are_away_leaves_the_parts_to_be_sent_again(hall: Hall) -> None:
    hall.book.absences = 1000
    hall.stopped.set()
    hall.delivery_queue.offer(hall.delivery(pack(hall.plant.frame(1))), historical=False)
    hall.worker.run()
    assert hall.diary == []


def test_a_closed_line_is_worked_off_before_the_worker_ends(hall: Hall) -> None:
    for number in range(20):
        hall.delivery_queue.offer(hall.delivery(pack(hall.plant.frame(number)), number=number), historical=False)
    hall.delivery_queue.close()
    hall.worker.run()
    assert hall.acknowledged == list(range(20))


def test_every_stage_of_a_part_is_measured(hall: Hall) -> None:
    (verdict,) = hall.work(pack(hall.plant.frame(1)))
    assert isinstance(verdict, Verdict)
    for stage in ("queue", "decode", "embed", "search", "render"):
        assert verdict.stages[stage] >= 0
        assert hall.sample("stage_seconds_count", stage=stage) == 1
    assert verdict.server_seconds >= sum(verdict.stages.values())
    assert hall.sample("payload_bytes_sum", codec="webp:80") == len(hall.plant.frame(1).payload)


def test_a_picture_of_a_part_that_is_recorded_as_dropped_gets_the_receipt_and_no_verdict(
    hall: Hall, plant: Any, records: Records
) -> None:
    frame = plant.frame(1)
    drop = msgspec.structs.replace(plant.drop(1), inspection_id=frame.inspection_id, reason="superseded")
    (receipt,) = hall.work(pack(drop))
    (late,) = hall.work(pack(frame))
    assert isinstance(receipt, DropReceipt)
    assert isinstance(late, DropReceipt)
    assert (late.inspection_id, late.reason) == (frame.inspection_id, "superseded")
    assert records.counts() == counts(verdicts=0, drops=1, dead_letters=0)


def test_a_drop_of_a_part_that_is_judged_gets_the_verdict(hall: Hall, plant: Any, records: Records) -> None:
    frame = plant.frame(1)
    (verdict,) = hall.work(pack(frame))
    assert hall.work(pack(msgspec.structs.replace(plant.drop(1), inspection_id=frame.inspection_id))) == [verdict]
    assert records.counts() == counts(verdicts=1, drops=0, dead_letters=0)


def test_a_picture_and_its_drop_in_one_micro_batch_are_one_decision(hall: Hall, plant: Any, records: Records) -> None:
    frame = plant.frame(1)
    drop = msgspec.structs.replace(plant.drop(1), inspection_id=frame.inspection_id)
    receipts = hall.work(pack(frame), pack(drop))
    assert [type(receipt) for receipt in receipts] == [DropReceipt, DropReceipt]
    assert records.counts() == counts(verdicts=0, drops=1, dead_letters=0)


def test_a_worker_whose_verdict_comes_after_another_workers_drop_publishes_the_drops_receipt(
    hall: Hall, plant: Any, records: Records
) -> None:
    frame = plant.frame(1, defect=True)
    drop = msgspec.structs.replace(plant.drop(1), inspection_id=frame.inspection_id, reason="superseded")
    hall.book.overtaken_by = [outcome_of_drop(drop, recorded_at=1000.0)]
    (receipt,) = hall.work(pack(frame))
    assert isinstance(receipt, DropReceipt)
    assert (receipt.inspection_id, receipt.reason) == (frame.inspection_id, "superseded")
    assert records.counts() == counts(verdicts=0, drops=1, dead_letters=0)
    assert hall.outlet.channel("map") == []
    assert hall.sample("verdicts_total", outcome="anomalous") == hall.sample("drops_total", reason="superseded") == 0
    assert hall.sample("repeats_total") == 1


def test_a_worker_whose_drop_comes_after_another_workers_verdict_publishes_the_verdict(
    hall: Hall, plant: Any, records: Records
) -> None:
    frame = plant.frame(1)
    drop = msgspec.structs.replace(plant.drop(1), inspection_id=frame.inspection_id)
    hall.book.overtaken_by = [outcome_of_verdict(verdict_of_another_worker(frame), recorded_at=1000.0)]
    assert hall.work(pack(drop)) == [verdict_of_another_worker(frame)]
    assert records.counts() == counts(verdicts=1, drops=0, dead_letters=0)
    assert hall.sample("drops_total", reason="capture_failed") == 0


def test_a_picture_and_its_drop_in_one_batch_get_the_verdict_of_a_worker_that_was_first(
    hall: Hall, plant: Any, records: Records
) -> None:
    frame = plant.frame(1)
    drop = msgspec.structs.replace(plant.drop(1), inspection_id=frame.inspection_id)
    hall.book.overtaken_by = [outcome_of_verdict(verdict_of_another_worker(frame), recorded_at=1000.0)]
    assert hall.work(pack(frame), pack(drop)) == 2 * [verdict_of_another_worker(frame)]
    assert records.counts() == counts(verdicts=1, drops=0, dead_letters=0)


@pytest.mark.parametrize("channel", ["frame", "backlog"])
def test_a_message_that_was_called_unreadable_stays_so_when_its_artifact_comes(
    hall: Hall, plant: Any, records: Records, channel: str
) -> None:
    """The verdict may have been lost on its way, or have closed the part: either way it is the only one."""
    payload = pack(plant.frame(1))
    commissioned, hall.pipeline = hall.pipeline, hall.pipeline_of(NothingCommissioned())
    (first,) = hall.work(payload)
    hall.pipeline = commissioned
    assert hall.work(payload, channel=channel) == [first]
    assert isinstance(first, Verdict)
    assert first.reason.startswith("artifact: ")
    assert records.counts() == counts(unreadable=1, dead_letters=1)
    assert len(set(hall.outlet.channel("verdict"))) == 1
    (other,) = hall.work(pack(plant.frame(2)))
    assert isinstance(other, Verdict)
    assert other.outcome == "normal"


def test_a_part_whose_artifact_another_worker_has_already_is_left_to_be_sent_again(
    hall: Hall, plant: Any, artifact_store: Any, records: Records
) -> None:
    """Its profile comes from the worker that was quicker; to call it unreadable would be the end of it."""
    now = [100.0]
    wait = ArtifactWait(30.0, lambda: now[0])
    hall.pipeline = hall.pipeline_of(NothingCommissioned(), wait)
    assert hall.work(pack(plant.frame(1)), pack(plant.drop(2)))[0].sequence == 2
    assert hall.acknowledged == [0, 1]
    assert hall.sample("repeats_total") == hall.sample("dead_letters_total") == 0
    hall.pipeline = hall.pipeline_of(artifact_store, wait)
    (verdict,) = hall.work(pack(plant.frame(1)))
    assert isinstance(verdict, Verdict)
    assert verdict.outcome == "normal"
    hall.pipeline = hall.pipeline_of(NothingCommissioned(), wait)
    now[0] = 131.0
    (late,) = hall.work(pack(plant.frame(3)))
    assert isinstance(late, Verdict)
    assert late.outcome == "unreadable"
    assert records.counts() == counts(verdicts=1, drops=1, unreadable=1, dead_letters=1)


def test_patience_remembers_no_more_artifacts_than_it_must() -> None:
    patience = ArtifactWait(30.0, lambda: 0.0)
    assert all(patience.waits_for(f"{number:064x}") for number in range(3000))
    assert len(patience._first) == 1024


class NothingCommissioned:
    """A shelf that an artifact has not reached yet."""

    def find(self, *_: object) -> None:
        return None


def test_a_drop_that_comes_again_is_counted_once(hall: Hall, plant: Any) -> None:
    drop = pack(plant.drop(1))
    hall.work(drop, drop)
    hall.work(drop)
    assert hall.sample("drops_total", reason="capture_failed") == 1
    assert hall.sample("repeats_total") == 2


def verdict_of_another_worker(frame: FrameMessage) -> Verdict:
    return Verdict(
        **identity_of(frame), outcome="normal", received_sha256=sha256_of(pack(frame)), score=0.5, judged_at=1000.0
    )


def test_a_drop_of_a_part_that_ended_unreadable_is_answered_with_that_end_under_its_own_digest(
    hall: Hall, plant: Any, records: Records
) -> None:
    """The station knows an unreadable message by its digest: with the frame's it would send the drop for ever."""
    frame = plant.frame(1, artifact="ab" * 32)
    hall.work(pack(frame))
    drop = msgspec.structs.replace(plant.drop(1), inspection_id=frame.inspection_id)
    for _ in range(2):
        (answer,) = hall.work(pack(drop))
        assert isinstance(answer, Verdict)
        assert (answer.outcome, answer.received_sha256) == ("unreadable", sha256_of(pack(drop)))
    assert records.counts() == counts(unreadable=1, dead_letters=1)


@pytest.mark.parametrize("again", ["frame", "drop"])
def test_a_part_that_retention_forgot_is_answered_and_not_judged_again(
    hall: Hall, plant: Any, records: Records, again: str
) -> None:
    hall.work(pack(plant.frame(1)), pack(plant.frame(2)))
    assert records.forget(older_than=5000.0) == 2
    old = plant.frame(1) if again == "frame" else plant.drop(1)
    (answer,) = hall.work(pack(old))
    assert isinstance(answer, Verdict)
    assert answer.reason.startswith("forgotten: ")
    assert (answer.inspection_id, answer.received_sha256) == (old.inspection_id, sha256_of(pack(old)))
    assert records.counts() == counts()
    assert hall.acknowledged == [0, 1, 0]


def test_a_station_that_lost_its_outbox_and_counts_from_1_again_is_judged(
    hall: Hall, plant: Any, records: Records
) -> None:
    hall.work(*(pack(plant.frame(number)) for number in range(8)))
    records.forget(older_than=5000.0)
    (verdict,) = hall.work(pack(plant.frame(1, inspection_id="0" * 36, captured_at=100.0)))
    assert isinstance(verdict, Verdict)
    assert verdict.outcome == "normal"


class FailingDetector:
    """A detector of the plant that fails on defective parts, in a given way."""

    def __init__(self, detector: Any, failure: Callable[[Any, Any], Any], threshold: Any) -> None:
        self._detector, self._failure, self._threshold = detector, failure, threshold

    def __getattr__(self, name: str) -> Any:
        return getattr(self._detector, name)

    def render(self, patch_scores: Any, size: Any) -> Any:
        return self._failure(self._detector.render(patch_scores, size), self._threshold)


class FailingStore:
    def __init__(self, artifact_store: Any, failure: Callable[[Any, Any], Any]) -> None:
        self._artifact_store, self._failure = artifact_store, failure

    def find(self, *asked: Any) -> Any:
        found = self._artifact_store.find(*asked)
        names = ("fingerprint", "codec", "input_size", "reader", "calibration", "map_range", "normal_quantiles")
        copied = {name: getattr(found, name) for name in names}
        return SimpleNamespace(
            **copied, detector=FailingDetector(found.detector, self._failure, found.calibration.threshold)
        )


def raises_an_error(rendering: Any, threshold: float) -> Any:
    if rendering.scores.max() > threshold:
        raise ZeroDivisionError
    return rendering


def scores_nothing_finite(rendering: Any, threshold: float) -> Any:
    scores = np.where(rendering.scores > threshold, np.nan, rendering.scores)
    return Rendering(maps=rendering.maps, scores=scores)


def draws_an_infinite_map(rendering: Any, threshold: float) -> Any:
    maps = rendering.maps.copy()
    maps[rendering.scores > threshold, 0, 0] = np.inf
    return Rendering(maps=maps, scores=rendering.scores)


@pytest.mark.parametrize("failure", [raises_an_error, scores_nothing_finite, draws_an_infinite_map])
def test_a_part_that_breaks_the_scoring_ends_alone(
    hall: Hall, plant: Any, artifact_store: Any, records: Records, failure: Callable[[Any, Any], Any]
) -> None:
    hall.pipeline = hall.pipeline_of(FailingStore(artifact_store, failure))
    bad = pack(plant.frame(2, defect=True))
    receipts = hall.work(pack(plant.frame(1)), bad, pack(plant.frame(3)), pack(plant.drop(4)))
    assert [getattr(each, "outcome", "dropped") for each in receipts] == ["normal", "unreadable", "normal", "dropped"]
    assert isinstance(receipts[1], Verdict)
    assert receipts[1].reason.startswith("internal: ")
    assert (receipts[1].part_id, receipts[1].received_sha256) == ("part-2", sha256_of(bad))
    assert records.counts() == counts(verdicts=2, drops=1, unreadable=1, dead_letters=1)
    assert hall.outlet.channel("unreadable") == [bad]
    assert hall.acknowledged == [0, 1, 2, 3]
    assert hall.sample("unreadable_total", code="internal") == 1
    assert hall.work(bad) == [receipts[1]]


def test_a_codec_that_breaks_on_a_payload_ends_that_part_alone(
    hall: Hall, plant: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_at_2(frame: Any, **rest: Any) -> Any:
        if frame.message.sequence == 2:
            raise MemoryError
        return admit(frame, **rest)

    monkeypatch.setattr(scoring_module, "admit", fail_at_2)
    receipts = hall.work(*(pack(plant.frame(number)) for number in (1, 2, 3)))
    assert [each.outcome for each in receipts if isinstance(each, Verdict)] == ["normal", "unreadable", "normal"]


def test_a_map_that_cannot_be_drawn_stops_nothing(hall: Hall, plant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("encoder error")

    monkeypatch.setattr("analytics_service.inspection.reply_publisher.map_message", fail)
    receipts = hall.work(pack(plant.frame(1, defect=True)), pack(plant.frame(2)))
    assert [each.outcome for each in receipts if isinstance(each, Verdict)] == ["anomalous", "normal"]
    assert hall.sample("undelivered_total", channel="map") == 1


def test_recording_is_measured_apart_from_the_verdicts_time(hall: Hall, plant: Any) -> None:
    (verdict,) = hall.work(pack(plant.frame(1)))
    assert hall.sample("record_seconds_count") == 1
    assert isinstance(verdict, Verdict)
    assert "record" not in verdict.stages


def test_a_loop_between_brokers_is_answered_a_few_times_and_reported(
    hall: Hall, plant: Any, caplog: pytest.LogCaptureFixture
) -> None:
    copies = [pack(plant.frame(1)), pack(plant.drop(2)), b"poison"]
    for _ in range(200):
        hall.work(*copies)
    assert len(hall.outlet.channel("verdict")) == 3 * ANSWERS
    assert hall.sample("withheld_total") == 3 * (200 - ANSWERS)
    assert len(hall.acknowledged) == 600
    assert sum("loop between brokers" in record.message for record in caplog.records) == 3
    assert len(hall.work(pack(plant.frame(3)))) == 1
