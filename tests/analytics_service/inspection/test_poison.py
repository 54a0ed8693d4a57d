"""One message or one row stops at most one part: other parts of its batch and of other stations get their verdicts."""

import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from analytics_service.inspection.delivery_queue import DeliveryQueue
from analytics_service.inspection.part_counts import PartCounts
from analytics_service.inspection.pipeline import Pipeline
from analytics_service.inspection.recorder import OutcomeRecorder
from analytics_service.inspection.reply_publisher import ReplyPublisher
from analytics_service.inspection.scoring import PartScorer
from analytics_service.inspection.worker import Worker
from analytics_service.metrics import Metrics
from analytics_service.records.outcomes import DeadLetter, PartOutcome, Recalled, Stored
from analytics_service.records.records import Records
from patchline.artifacts.readers import FeatureReader
from patchline.mqtt.delivery import Delivery
from patchline.vision.codecs.features.floats import FeaturesCodec
from patchline.vision.detectors import DETECTORS
from patchline.vision.pixels.arrays import FeatureMaps
from patchline.vision.scoring.calibration import calibrate
from patchline.wire.errors import UnreadableError
from patchline.wire.messages import DropMessage, FrameMessage, Receipt, Verdict, from_json, pack, sha256_of
from patchline.wire.topics import Topics

SHAPE = (16, 8, 8)
NORMAL = np.random.default_rng(0).normal(size=(12, *SHAPE)).astype(np.float32)


class Line:
    """A worker of several stations that send feature maps, and what it publishes."""

    connected = True

    def __init__(self, detector: str, records: Any) -> None:
        self.said: list[tuple[str, bytes]] = []
        self.codec = FeaturesCodec.fit(None, {"a": NORMAL}, seed=0)
        # What a stranger sends is not cut to what commissioning saw.
        self.stranger = FeaturesCodec.fit(None, {"a": NORMAL}, seed=0)
        self.stranger._limit = np.inf
        artifact = SimpleNamespace(
            fingerprint="f" * 64,
            codec="features",
            input_size=(64, 64),
            reader=FeatureReader(self.codec),
            detector=DETECTORS[detector].fit([{"a": NORMAL}], seed=0),
            calibration=calibrate(np.linspace(1, 2, 120)),
            map_range=(0.0, 1.0),
            normal_quantiles=(),
        )
        metrics, stopped = Metrics(CollectorRegistry()), threading.Event()
        replies = ReplyPublisher(self, topics=Topics(), metrics=metrics, maps="all", stopped=stopped)
        recorder = OutcomeRecorder(records, metrics=metrics, stopped=stopped)
        scorer = PartScorer(SimpleNamespace(find=lambda *_: artifact))
        self.pipeline = Pipeline(scorer, recorder, replies, PartCounts(metrics), topics=Topics())
        self.queue = DeliveryQueue(max_messages=100, max_bytes=10**9)
        self.worker = Worker(self.queue, self.pipeline, metrics=metrics)

    def publish(self, topic: str, payload: bytes, **_: object) -> None:
        self.said.append((topic, payload))

    def frame(self, station: str, maps: FeatureMaps, **changes: object) -> Delivery:
        payload = self.stranger.encode(maps)
        message = FrameMessage(
            inspection_id=str(uuid.uuid4()),
            station=station,
            boot_id="b",
            sequence=1,
            part_id="p",
            captured_at=0.0,
            artifact="f" * 64,
            codec="features",
            payload=payload,
            payload_sha256=sha256_of(payload),
        )
        return Delivery(topic=f"vad/v1/{station}/frame", payload=pack(msgspec.structs.replace(message, **changes)))

    def good(self, station: str, number: int = 0, **changes: object) -> Delivery:
        return self.frame(station, {"a": NORMAL[number : number + 1]}, **changes)

    def answers(self) -> dict[str, Verdict]:
        """By station."""
        found: list[Receipt] = [from_json(body, Receipt) for topic, body in self.said if topic.endswith("/verdict")]
        return {each.station: each for each in found if isinstance(each, Verdict)}


@pytest.fixture
def records(tmp_path: Any) -> Iterator[Records]:
    records = Records(f"sqlite:///{tmp_path}/records.db")
    yield records
    records.close()


def poisoned(value: float, places: int) -> FeatureMaps:
    maps = NORMAL[:1].copy()
    maps.reshape(-1)[:places] = value
    return {"a": maps}


@pytest.mark.parametrize("places", [1, NORMAL[0].size], ids=["one value", "every value"])
@pytest.mark.parametrize("value", [1e6, 65504.0, 1e15, 1e19, 1e25, 1e30, -1e30, 3.4e38])
@pytest.mark.parametrize("detector", ["patchcore", "padim", "fapm"])
def test_a_payload_of_extreme_numbers_stops_no_other_part(
    records: Records, detector: str, value: float, places: int
) -> None:
    """Alone, and in one batch with parts of other stations; theirs are the scores they have without it."""
    line = Line(detector, records)
    line.pipeline.work([line.good(f"s/l/before{number}", number) for number in range(3)])
    expected = [line.answers()[f"s/l/before{number}"].score for number in range(3)]
    batch = [line.good(f"s/l/good{number}", number) for number in range(3)]
    batch.insert(1, line.frame("s/l/bad", poisoned(value, places)))
    line.pipeline.work(batch)
    answers = line.answers()
    found = [answers[f"s/l/good{number}"].score for number in range(3)]
    np.testing.assert_allclose(np.array(found, float), np.array(expected, float), rtol=1e-4)
    bad = answers["s/l/bad"]
    assert bad.outcome in {"anomalous", "unreadable"}
    if bad.outcome == "unreadable":
        assert bad.reason.partition(":")[0] in {"features", "internal"}
    assert records.counts()["dead_letters"] == (bad.outcome == "unreadable")


@pytest.mark.parametrize("value", [1e19, 1e25, 3.4e38])
@pytest.mark.parametrize("detector", ["patchcore", "padim", "fapm"])
def test_numbers_that_overflow_in_a_detector_end_their_part_alone(
    records: Records, monkeypatch: pytest.MonkeyPatch, detector: str, value: float
) -> None:
    """Without the bound on decoded values, so that the detector itself meets them."""
    monkeypatch.setattr("patchline.artifacts.readers.MAX_FEATURE", np.inf)
    line = Line(detector, records)
    line.codec._limit = np.inf
    line.pipeline.work([line.good("s/l/alone")])
    line.pipeline.work([line.good("s/l/good"), line.frame("s/l/bad", poisoned(value, NORMAL[0].size))])
    answers = line.answers()
    assert answers["s/l/good"].score == pytest.approx(answers["s/l/alone"].score, rel=1e-4)
    assert answers["s/l/bad"].outcome in {"anomalous", "unreadable"}


def test_a_worker_that_met_poison_goes_on(records: Records) -> None:
    line = Line("patchcore", records)
    line.queue.offer(line.frame("s/l/bad", poisoned(1e25, 5)), historical=False)
    line.queue.offer(line.good("s/l/good"), historical=False)
    line.queue.close()
    line.worker.run()
    assert {station: verdict.outcome != "unreadable" for station, verdict in line.answers().items()} == {
        "s/l/bad": False,
        "s/l/good": True,
    }


class ParticularRecords:
    """Real records whose database does not take some rows, for a reason that nobody foresaw."""

    def __init__(self, records: Records, takes: Callable[[PartOutcome], bool]) -> None:
        self._records, self._takes = records, takes

    def recall(self, **asked: Any) -> Recalled:
        return self._records.recall(**asked)

    def store(self, outcomes: Sequence[PartOutcome], letters: Sequence[DeadLetter] = ()) -> Stored:
        if not all(self._takes(outcome) for outcome in outcomes):
            raise UnreadableError("value too odd", code="database")
        return self._records.store(outcomes, letters)


def test_a_row_that_the_database_does_not_take_ends_its_part_alone(records: Records) -> None:
    line = Line("patchcore", ParticularRecords(records, lambda outcome: outcome.part_id != "odd"))
    line.pipeline.work([line.good("s/l/a"), line.good("s/l/odd", part_id="odd"), line.good("s/l/b", 1)])
    answers = line.answers()
    assert answers["s/l/odd"].reason.startswith("internal: ")
    assert {answers["s/l/a"].outcome, answers["s/l/b"].outcome} <= {"normal", "anomalous"}
    assert records.counts() == {"verdicts": 2, "drops": 0, "unreadable": 1, "dead_letters": 1}


def test_a_drop_that_the_database_does_not_take_is_recorded_without_its_text(records: Records) -> None:
    line = Line("patchcore", ParticularRecords(records, lambda outcome: outcome.detail != "odd"))
    drop = DropMessage(
        inspection_id=str(uuid.uuid4()),
        station="s/l/a",
        boot_id="b",
        sequence=1,
        part_id="p",
        captured_at=0.0,
        reason="too_large",
        detail="odd",
    )
    line.pipeline.work([Delivery(topic="vad/v1/s/l/a/frame", payload=pack(drop)), line.good("s/l/b")])
    assert len([topic for topic, _ in line.said if topic.endswith("/verdict")]) == 2
    assert (records.counts()["verdicts"], records.counts()["drops"]) == (1, 1)


def test_a_database_that_takes_nothing_ends_the_worker_loudly(records: Records) -> None:
    line = Line("patchcore", ParticularRecords(records, lambda _: False))
    line.queue.offer(line.good("s/l/a"), historical=False)
    line.queue.close()
    with pytest.raises(UnreadableError):
        line.worker.run()
    assert line.said == []


@pytest.mark.parametrize(
    ("field", "text"), [("part_id", "A\x00B"), ("boot_id", "\x00"), ("detail", "A\x00B"), ("detail", "\x1b[31m")]
)
def test_characters_that_a_database_does_not_take_stop_no_station(url: str, field: str, text: str) -> None:
    """A drop's detail is free text and is recorded; a name with a control character is no envelope."""
    records = Records(url)
    line = Line("patchcore", records)
    drop = DropMessage(
        inspection_id=str(uuid.uuid4()),
        station="s/l/a",
        boot_id="b",
        sequence=1,
        part_id="p",
        captured_at=0.0,
        reason="too_large",
    )
    odd = msgspec.structs.replace(drop, **{field: text})
    line.pipeline.work([Delivery(topic="vad/v1/s/l/a/frame", payload=pack(odd)), line.good("s/l/b")])
    assert line.answers()["s/l/b"].outcome in {"normal", "anomalous"}
    assert len([topic for topic, _ in line.said if topic.endswith("/verdict")]) == 2
    counts = records.counts()
    assert (counts["drops"], counts["dead_letters"]) == ((1, 0) if field == "detail" else (0, 1))
    records.close()
