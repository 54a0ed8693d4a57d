"""The gate: in time, at most once, written down before it moves."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_node.gate.gate_controller import GateController
from edge_node.gate.gate_policy import GatePolicy
from edge_node.gate.gates.protocol import Gate, GateSettings, OnFailure
from edge_node.metrics import EdgeMetrics
from edge_node.outbox.journal import read_journal
from edge_node.outbox.outbox import Outbox
from edge_node.outbox.rows import Closing, Row
from patchline.wire.errors import UnavailableError
from patchline.wire.messages import GateCommand, Outcome, Verdict

STATION = "plant/line1/cam1"


class Notes(Gate):
    """A gate that remembers what it was told, and what the outbox knew at that moment."""

    Settings = GateSettings

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self.commands: list[GateCommand] = []
        self.written: list[bool] = []
        self.broken = False

    def act(self, command: GateCommand, left_seconds: float, on_failure: OnFailure) -> None:
        del on_failure
        assert left_seconds >= 0
        row = self._outbox.row(command.inspection_id)
        self.written.append(row is None or row.gate_action == command.action)
        self.commands.append(command)
        if self.broken:
            raise UnavailableError("stuck")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def outbox(open_outbox: Callable[..., Outbox]) -> Outbox:
    opened: Outbox = open_outbox()
    return opened


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gate(outbox: Outbox) -> Notes:
    return Notes(outbox)


@pytest.fixture
def metrics() -> EdgeMetrics:
    return EdgeMetrics()


@pytest.fixture
def keeper(gate: Notes, outbox: Outbox, clock: Clock, metrics: EdgeMetrics) -> Iterator[GateController]:
    gate_controller = GateController(gate, outbox, STATION, GatePolicy(deadline_seconds=2.0), metrics, clock=clock)
    stop = threading.Event()
    thread = threading.Thread(target=gate_controller.run, args=(stop,))
    thread.start()
    yield gate_controller
    stop.set()
    gate_controller.wake()
    thread.join()
    gate_controller.finish()


@pytest.fixture
def capture(outbox: Outbox, make_trigger: Any, clock: Clock) -> Callable[[], Row]:
    return lambda: outbox.reserve(make_trigger(captured_monotonic=clock.now))


def verdict(row: Row, outcome: Outcome = "normal", *, historical: bool = False) -> Verdict:
    return Verdict(
        inspection_id=row.inspection_id,
        station=STATION,
        boot_id=row.boot_id,
        sequence=row.sequence,
        part_id=row.part_id,
        captured_at=row.captured_at,
        outcome=outcome,
        received_sha256="0" * 64,
        historical=historical,
    )


@pytest.mark.parametrize(
    ("outcome", "action"),
    [("normal", "accept"), ("anomalous", "reject"), ("unreadable", "reject"), ("uncalibrated", "accept")],
)
def test_a_verdict_in_time_decides(keeper: GateController, capture: Any, outcome: Outcome, action: str) -> None:
    row = capture()
    keeper.watch(row)
    command = keeper.judge(row, verdict(row, outcome), received_at=101.9)
    assert command is not None
    assert (command.action, command.grounds, command.outcome) == (action, "verdict", outcome)
    assert keeper.judge(row, verdict(row, outcome), received_at=101.9) is None


def test_uncalibrated_parts_can_be_rejected_by_setting() -> None:
    assert GatePolicy(uncalibrated="reject").action("uncalibrated") == "reject"


def test_without_a_verdict_the_default_acts_at_the_deadline(
    keeper: GateController, capture: Any, gate: Notes, clock: Clock, eventually: Any, metrics: EdgeMetrics
) -> None:
    row = capture()
    keeper.watch(row)
    clock.now = 101.9
    keeper.wake()
    clock.now = 102.0
    keeper.wake()
    eventually(lambda: gate.commands)
    assert [(command.action, command.grounds) for command in gate.commands] == [("reject", "deadline")]
    assert gate.written == [True]
    acted = {"action": "reject", "grounds": "deadline"}
    assert metrics.registry.get_sample_value("vad_edge_gate_actions_total", acted) == 1
    assert keeper.judge(row, verdict(row), received_at=101.0) is None


def test_a_sleeping_gatekeeper_hears_of_a_part_that_is_late_already(
    keeper: GateController, capture: Any, gate: Notes, clock: Clock, eventually: Any
) -> None:
    row = capture()
    clock.now = 102.1
    keeper.watch(row)
    eventually(lambda: [command.inspection_id for command in gate.commands] == [row.inspection_id])


def test_nothing_moves_before_the_deadline_and_the_default_does_at_it(
    keeper: GateController, gate: Notes, clock: Clock, capture: Any, eventually: Any
) -> None:
    first = capture()
    keeper.watch(first)
    clock.now = 100.01
    second = capture()
    keeper.watch(second)
    clock.now = 102.0
    keeper.wake()
    eventually(lambda: gate.commands)
    assert [command.inspection_id for command in gate.commands] == [first.inspection_id]
    assert keeper.watching == 1


def test_a_verdict_at_the_deadline_is_in_time_and_a_part_whose_deadline_is_now_is_not_watched(
    gate: Notes, outbox: Outbox, clock: Clock, capture: Any
) -> None:
    metrics = EdgeMetrics()
    keeper = GateController(gate, outbox, STATION, GatePolicy(deadline_seconds=2.0), metrics, clock=clock)
    row, late, moved = capture(), capture(), capture()
    outbox.claim_gate(moved.inspection_id, "accept", "verdict")
    keeper.settle(outbox.row(moved.inspection_id) or moved, "clock")
    assert keeper.watching == 0
    keeper.watch(row)
    assert keeper.judge(row, verdict(row), received_at=102.0) is not None
    clock.now = 102.0
    keeper.settle(late, "clock")
    assert keeper.watching == 1, "only the part whose verdict is being written down"
    missed = {"action": "none", "grounds": "missed"}
    assert metrics.registry.get_sample_value("vad_edge_gate_actions_total", missed) == 1


def test_a_late_or_historical_verdict_never_moves_the_gate(keeper: GateController, capture: Any) -> None:
    row = capture()
    keeper.watch(row)
    assert keeper.judge(row, verdict(row), received_at=102.1) is None
    assert keeper.judge(row, verdict(row, historical=True), received_at=100.1) is None


def test_after_a_reboot_a_part_still_under_way_is_watched_and_one_gone_by_is_noted(
    keeper: GateController, capture: Any, clock: Clock, outbox: Outbox, gate: Notes, eventually: Any, tmp_path: Path
) -> None:
    gone, claimed, foreign = capture(), capture(), capture()
    outbox.claim_gate(claimed.inspection_id, "accept", "verdict")
    clock.now = 103.0
    ahead = capture()
    for row in (gone, outbox.row(claimed.inspection_id), ahead):
        assert row is not None
        keeper.settle(row, "clock")
    keeper.settle(foreign, "another machine's boot")
    clock.now = 105.0
    keeper.wake()
    eventually(lambda: gate.commands)
    assert [command.inspection_id for command in gate.commands] == [ahead.inspection_id]
    for row in outbox.pending():
        outbox.confirm(row.inspection_id, Closing(outcome="normal"))
    told = [(line.gate_action, line.gate_grounds) for line in read_journal(tmp_path / "outbox.sqlite")]
    assert told == [("", "missed"), ("accept", "verdict"), ("", "missed"), ("reject", "deadline")]


def _disk_full(*_: object) -> bool:
    raise UnavailableError("disk full")


def test_a_default_that_cannot_be_written_down_is_taken_all_the_same_for_nobody_judged_the_part(
    *,
    keeper: GateController,
    capture: Any,
    clock: Clock,
    outbox: Outbox,
    gate: Notes,
    eventually: Any,
    metrics: EdgeMetrics,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row = capture()
    monkeypatch.setattr(outbox, "claim_gate", _disk_full)
    keeper.watch(row)
    clock.now = 102.0
    keeper.wake()
    eventually(lambda: [command.action for command in gate.commands] == ["reject"])
    assert metrics.registry.get_sample_value("vad_edge_gate_failures_total") == 1


def test_a_disk_that_does_not_answer_holds_no_gate_up(
    *, keeper: GateController, capture: Any, clock: Clock, outbox: Outbox, gate: Notes, eventually: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    answers, claim = threading.Event(), outbox.claim_gate

    def slow(*told: Any) -> bool:
        answers.wait(60)
        return claim(*told)

    monkeypatch.setattr(outbox, "claim_gate", slow)
    rows = [capture() for _ in range(3)]
    for row in rows:
        keeper.watch(row)
    clock.now = 102.0
    keeper.wake()
    eventually(lambda: len(gate.commands) == 3)
    answers.set()
    eventually(lambda: {row.gate_grounds for row in outbox.pending()} == {"deadline"})
    assert len(gate.commands) == 3


def test_a_verdict_whose_writing_takes_too_long_is_obeyed_at_the_deadline_and_only_once(
    keeper: GateController, capture: Any, clock: Clock, gate: Notes, outbox: Outbox, eventually: Any
) -> None:
    row = capture()
    keeper.watch(row)
    command = keeper.judge(row, verdict(row, "normal"), received_at=101.0)
    assert command is not None
    clock.now = 102.0
    keeper.wake()
    eventually(lambda: gate.commands)
    assert not outbox.claim_gate(row.inspection_id, command.action, command.grounds)
    keeper.carry_out(command)
    eventually(lambda: keeper.watching == 0)
    assert [(each.action, each.grounds) for each in gate.commands] == [("accept", "verdict")]


@pytest.mark.parametrize("late", [102.21, 103.7, 160.0])
def test_a_part_that_has_gone_by_is_missed_and_its_gate_does_not_act(
    *, keeper: GateController, capture: Any, clock: Clock, gate: Notes, outbox: Outbox, metrics: EdgeMetrics,
    eventually: Any, late: float,
) -> None:  # fmt: skip
    by_default, judged = capture(), capture()
    keeper.watch(by_default)
    keeper.watch(judged)
    command = keeper.judge(judged, verdict(judged, "anomalous"), received_at=101.0)
    assert command is not None
    outbox.claim_gate(judged.inspection_id, command.action, command.grounds)
    clock.now = late
    keeper.carry_out(command)
    keeper.wake()
    missed = {"action": "none", "grounds": "missed"}
    eventually(lambda: metrics.registry.get_sample_value("vad_edge_gate_actions_total", missed) == 2)
    eventually(lambda: {(row.gate_action, row.gate_grounds) for row in outbox.pending()} == {("", "missed")})
    assert gate.commands == []


def test_a_slow_gate_acts_on_no_part_that_has_gone_by(
    *, keeper: GateController, capture: Any, clock: Clock, gate: Notes, metrics: EdgeMetrics, eventually: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    moved: list[str] = []

    def slow(command: GateCommand, left_seconds: float, on_failure: OnFailure) -> None:
        del left_seconds, on_failure
        moved.append(command.inspection_id)
        clock.now += 0.15

    monkeypatch.setattr(gate, "act", slow)
    rows = [capture() for _ in range(4)]
    for row in rows:
        keeper.watch(row)
    clock.now = 102.0
    keeper.wake()
    missed = {"action": "none", "grounds": "missed"}
    eventually(lambda: metrics.registry.get_sample_value("vad_edge_gate_actions_total", missed) == 2)
    assert len(moved) == 2


def test_a_part_whose_number_cannot_be_written_gets_its_default_and_that_is_noted_later(
    keeper: GateController, clock: Clock, gate: Notes, outbox: Outbox, make_trigger: Any, eventually: Any
) -> None:
    trigger = make_trigger(captured_monotonic=clock.now)
    keeper.expect(trigger)
    keeper.expect(trigger)
    clock.now = 102.0
    keeper.wake()
    eventually(lambda: [command.inspection_id for command in gate.commands] == [trigger.inspection_id])
    keeper.watch(outbox.reserve(trigger))
    eventually(lambda: [row.gate_grounds for row in outbox.pending()] == ["deadline"])
    assert keeper.watching == 0
    assert len(gate.commands) == 1


def test_a_gate_that_does_not_obey_is_counted_and_not_asked_twice(
    keeper: GateController, capture: Any, clock: Clock, gate: Notes, eventually: Any, metrics: EdgeMetrics
) -> None:
    gate.broken = True
    keeper.watch(capture())
    clock.now = 102.0
    keeper.wake()
    eventually(lambda: metrics.registry.get_sample_value("vad_edge_gate_failures_total") == 1)
    assert len(gate.commands) == 1
    assert keeper.watching == 0


def test_a_gate_behind_a_wire_is_told_again_with_the_same_command_id_until_the_time_is_over(
    *, keeper: GateController, capture: Any, clock: Clock, gate: Notes, eventually: Any, metrics: EdgeMetrics,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(type(gate), "repeats", True)
    gate.broken = True
    keeper.watch(capture())
    clock.now = 102.0
    keeper.wake()
    for number in range(1, 4):
        eventually(lambda number=number: len(gate.commands) == number)
        clock.now += 0.051
        keeper.wake()
    clock.now = 102.3
    keeper.wake()
    eventually(lambda: metrics.registry.get_sample_value("vad_edge_gate_failures_total") == 1)
    assert len({command.command_id for command in gate.commands}) == 1
    assert gate.commands[0].valid_ms > gate.commands[-1].valid_ms
    assert keeper.watching == 0


def test_a_command_says_until_when_it_may_be_obeyed(
    keeper: GateController, capture: Any, clock: Clock, gate: Notes, eventually: Any
) -> None:
    row = capture()
    keeper.watch(row)
    clock.now = 102.0
    keeper.wake()
    eventually(lambda: gate.commands)
    command = gate.commands[0]
    assert command.captured_at == row.captured_at
    assert command.act_before == pytest.approx(row.captured_at + 2.2)
    assert command.valid_ms == pytest.approx(200, abs=1)


def test_what_was_written_down_when_the_station_was_stopped_still_moves_the_gate(
    outbox: Outbox, gate: Notes, capture: Any, clock: Clock, metrics: EdgeMetrics
) -> None:
    keeper = GateController(gate, outbox, STATION, GatePolicy(deadline_seconds=2.0), metrics, clock=clock)
    row = capture()
    keeper.watch(row)
    command = keeper.judge(row, verdict(row, "anomalous"), received_at=101.0)
    assert command is not None
    outbox.confirm(row.inspection_id, Closing(outcome="anomalous").moving(command.action, command.grounds))
    stop = threading.Event()
    stop.set()
    keeper.carry_out(command)
    keeper.run(stop)
    assert gate.commands == []
    keeper.finish()
    assert [each.command_id for each in gate.commands] == [command.command_id]
    assert keeper.watching == 0


def test_a_part_that_was_closed_and_whose_gate_an_ended_boot_never_moved_is_noted_as_missed(
    *, outbox: Outbox, open_outbox: Any, gate: Notes, make_trigger: Any, metrics: EdgeMetrics, tmp_path: Path
) -> None:
    """A drop's receipt closes its row before the deadline; then the power fails."""
    row = outbox.reserve(make_trigger())
    outbox.confirm(row.inspection_id, Closing(outcome="dropped", reason="capture_failed"))
    outbox.close()
    later = open_outbox("later")
    keeper = GateController(gate, later, STATION, GatePolicy(), metrics)
    keeper.settle_closed()
    keeper.settle_closed()
    (line,) = read_journal(tmp_path / "outbox.sqlite")
    assert (line.gate_action, line.gate_grounds) == ("", "missed")
    told = {"action": "none", "grounds": "missed"}
    assert metrics.registry.get_sample_value("vad_edge_gate_actions_total", told) == 1
    assert not later.claim_gate(row.inspection_id, "reject", "deadline")
