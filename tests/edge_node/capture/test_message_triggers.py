"""A trigger message is a part from the moment it is received, once."""

import threading
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from edge_node.capture.arrival_clock import ArrivalClock
from edge_node.capture.intake import TriggerIntake
from edge_node.capture.message_triggers import MessageTriggers
from edge_node.capture.recorder import PartRecorder
from edge_node.capture.sources.protocol import Arrival, Shot, Source, SourceSettings
from edge_node.metrics import EdgeMetrics
from edge_node.outbox.outbox import Outbox
from edge_node.outbox.rows import Closing, Row, Trigger
from patchline.mqtt.delivery import Delivery
from patchline.wire.errors import UnavailableError

STATION = "plant/line1/cam1"
TOPIC = "plc/part"


class Heard:
    """Stands in for the publisher and the gate controller."""

    def __init__(self) -> None:
        self.expected: list[Trigger] = []

    def kept(self, row: Row, *, keep_seconds: float = 0.0) -> None:
        del row, keep_seconds

    def watch(self, row: Row) -> None:
        del row

    def expect(self, trigger: Trigger) -> None:
        self.expected.append(trigger)


class Nothing(Source):
    """A camera that nobody asks for its pictures."""

    Settings = SourceSettings

    def __init__(self) -> None:
        pass

    def at(self, trigger: Trigger) -> Shot | None:
        return Shot(trigger.part_id, lambda: pytest.fail("nobody exposes here"))


class Plant:
    """The trigger messages of one station, and what became of them."""

    def __init__(self, *, limit: int = 1024) -> None:
        self.stop, self.metrics, self.gate = threading.Event(), EdgeMetrics(), Heard()
        self.clock = ArrivalClock()
        self.clock.connected(session_kept=False)
        gate: Any = self.gate
        self.messages = MessageTriggers(TOPIC, gate, self.clock, self.metrics, self.stop, limit=limit)
        self.acknowledged: list[bytes] = []

    def send(self, payload: bytes, **told: Any) -> None:
        done = lambda: self.acknowledged.append(payload)  # noqa: E731
        at = told.pop("received_at", time.monotonic())
        self.messages.receive(Delivery(topic=TOPIC, payload=payload, on_acknowledge=done, received_at=at, **told))

    def waiting(self) -> list[Arrival]:
        self.stop.set()
        return list(self.messages.arrivals())

    def counted(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"vad_edge_{name}_total", labels) or 0.0

    def intake(self, outbox: Outbox, capacity: int = 64) -> TriggerIntake:
        gate: Any = self.gate
        recorder = PartRecorder(outbox, self.gate, station=STATION, metrics=self.metrics, stop=self.stop)
        return TriggerIntake(Nothing(), recorder, gate, self.metrics, self.stop, capacity=capacity)


def test_a_message_is_acknowledged_when_its_number_is_on_the_disk_and_the_gate_knows_the_part_before(
    open_outbox: Any,
) -> None:
    plant, outbox = Plant(), open_outbox()
    plant.send(b"A-1")
    assert [trigger.part_id for trigger in plant.gate.expected] == ["A-1"]
    assert plant.acknowledged == []
    assert plant.intake(outbox).arrive(next(plant.messages.arrivals()))
    assert plant.acknowledged == [b"A-1"]
    assert [(row.part_id, row.sequence) for row in outbox.pending()] == [("A-1", 1)]


def test_number_time_and_deadline_are_those_of_the_messages_arrival_however_late_it_is_reserved() -> None:
    plant, now = Plant(), time.monotonic()
    plant.send(b"A-1", received_at=now - 7.0)
    (arrival,) = plant.waiting()
    assert arrival.trigger.captured_monotonic == pytest.approx(now - 7.0)
    assert arrival.trigger.captured_at == pytest.approx(time.time() - 7.0, abs=1.0)


def test_the_plants_own_time_goes_before_the_messages_arrival_unless_it_is_in_the_future() -> None:
    plant, now = Plant(), time.monotonic()
    plant.send(f'{{"triggered_at": {time.time() - 5.0}}}'.encode())
    plant.send(f'{{"triggered_at": {time.time() + 50.0}}}'.encode())
    old, new = plant.waiting()
    assert old.trigger.captured_monotonic == pytest.approx(now - 5.0, abs=1.0)
    assert new.trigger.captured_monotonic == pytest.approx(now, abs=1.0)


@pytest.mark.parametrize(
    ("first", "second", "duplicate", "parts"),
    [
        (b'{"part_id": "A", "trigger_id": 1}', b'{"part_id": "A", "trigger_id": 1}', False, 1),
        (b'{"part_id": "A", "trigger_id": 1}', b'{"part_id": "A", "trigger_id": 1, "try": 2}', False, 1),
        (b'{"part_id": "A", "trigger_id": 1}', b'{"part_id": "A", "trigger_id": 2}', True, 2),
        (b"A", b"A", True, 1),
        (b"A", b"A", False, 2),
        (b"A", b"B", True, 2),
        (b"", b"", False, 2),
    ],
)
def test_a_repeat_by_trigger_id_or_by_the_broker_is_no_second_part(
    first: bytes, second: bytes, duplicate: bool, parts: int
) -> None:
    plant = Plant()
    plant.send(first)
    plant.send(second, duplicate=duplicate)
    assert plant.counted("repeated_triggers") == 2 - parts
    assert len(plant.waiting()) == parts


def test_a_retained_trigger_is_none_and_neither_is_a_message_on_another_topic() -> None:
    plant = Plant()
    plant.send(b"old", retained=True)
    plant.messages.receive(Delivery(topic="plc/else", payload=b"x"))
    assert plant.waiting() == []
    assert plant.acknowledged == [b"old"]
    assert plant.counted("unreadable_deliveries", channel="trigger") == 1
    assert plant.counted("unreadable_deliveries", channel="unknown") == 1


@pytest.mark.parametrize("payload", [b"\xff\xfe", b"{", b'{"part_id": "\\ud800"}'])
def test_a_message_that_cannot_be_read_is_a_part_without_an_id(payload: bytes) -> None:
    plant = Plant()
    plant.send(payload)
    assert [arrival.trigger.part_id for arrival in plant.waiting()] == [None]
    assert plant.counted("unreadable_deliveries", channel="trigger") == 1


def test_a_part_that_gets_no_number_is_counted_and_its_gate_still_takes_its_default(
    caplog: pytest.LogCaptureFixture,
) -> None:
    plant = Plant(limit=1)
    plant.send(b"first")
    plant.send(b"second")
    assert "part second has no number" in caplog.text
    assert plant.counted("inbox_overflows") == 1
    assert [trigger.part_id for trigger in plant.gate.expected] == ["first", "second"]


def test_after_the_stop_messages_are_left_to_the_broker() -> None:
    plant = Plant()
    plant.stop.set()
    plant.send(b"next boot")
    assert plant.acknowledged == []
    assert plant.waiting() == []


def test_too_many_triggers_and_those_that_waited_at_the_stop_are_drops_with_their_reason(open_outbox: Any) -> None:
    plant, outbox = Plant(), open_outbox()
    intake = plant.intake(outbox, capacity=1)
    for part_id in ("first", "second"):
        assert intake.arrive(Arrival(make(part_id), told=True))
    plant.stop.set()
    assert intake.arrive(Arrival(make("third"), told=True))
    kinds = {row.part_id: row.kind for row in outbox.pending()}
    assert kinds == {"first": "reserved", "second": "drop", "third": "drop"}
    assert plant.counted("drops", reason="superseded") == 1
    assert plant.counted("drops", reason="interrupted") == 1


def make(part_id: str) -> Trigger:
    return Trigger(inspection_id=str(uuid4()), part_id=part_id, captured_at=1.0, captured_monotonic=1.0)


def test_verdicts_are_heard_while_triggers_wait_for_a_full_outbox(
    open_outbox: Any, make_trigger: Any, eventually: Callable[..., None]
) -> None:
    """Only a verdict makes room, so receiving a trigger must not wait for room."""
    plant, outbox = Plant(), open_outbox(budget_bytes=10_000)
    row: Row = outbox.reserve(make_trigger())
    outbox.append(row, bytes(1_058_000), "drop", stages={})
    with pytest.raises(UnavailableError, match="outbox is full"):
        outbox.reserve(make_trigger())
    intake = plant.intake(outbox)

    def reserve() -> None:
        for arrival in plant.messages.arrivals():
            intake.arrive(arrival)

    thread = threading.Thread(target=reserve)
    thread.start()
    for number in range(5):
        plant.send(f"part-{number}".encode())
    outbox.confirm(row.inspection_id, Closing(outcome="normal"))
    eventually(lambda: len(plant.acknowledged) == 5)
    plant.stop.set()
    thread.join()
    assert [each.part_id for each in outbox.pending()] == [f"part-{number}" for number in range(5)]


class Now:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_messages_read_after_a_stall_are_as_old_as_its_beginning() -> None:
    now = Now()
    clock = ArrivalClock(clock=now)
    clock.connected(session_kept=False)
    now.now = 100.1
    clock.beat()
    assert clock.dated(100.1) == 100.1
    now.now = 110.0
    assert clock.dated(110.0) == 100.1
    now.now = 110.15
    assert clock.dated(110.15) == 100.1, "it may have waited in the socket"
    now.now = 110.4
    assert clock.dated(110.4) == 100.1, "the broker waits for two acknowledgements before it sends more that waited"
    for _ in range(3):
        clock.dealt_with()
    now.now = 110.55
    assert clock.dated(110.55) == 100.1, "the next one that waited"
    clock.dealt_with()
    for _ in range(10):
        now.now += 0.1
        clock.beat()
    assert clock.dated(now.now) == now.now


def test_messages_that_waited_at_the_broker_are_as_old_as_the_absence() -> None:
    now = Now()
    clock = ArrivalClock(unseen_seconds=5.0, clock=now)
    clock.connected(session_kept=True)
    assert clock.dated(100.1) == 95.0, "sent before this boot"
    now.now = 100.2
    clock.beat()
    clock.disconnected()
    for _ in range(40):
        now.now += 0.1
        clock.beat()
    clock.connected(session_kept=True)
    assert clock.dated(now.now) == pytest.approx(100.2)
    clock.dealt_with()
    for _ in range(7):
        now.now += 0.1
        clock.beat()
    assert clock.dated(now.now) == now.now


def test_without_a_kept_session_nothing_has_waited() -> None:
    now = Now()
    clock = ArrivalClock(unseen_seconds=5.0, clock=now)
    clock.connected(session_kept=False)
    assert clock.dated(100.0) == 100.0
