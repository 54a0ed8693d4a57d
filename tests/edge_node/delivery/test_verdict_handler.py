"""A verdict closes its row, once; an unreadable one by its digest alone."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge_node.delivery.publisher import Publisher
from edge_node.delivery.retry_schedule import RetrySchedule
from edge_node.delivery.ticket import SchedulePolicy
from edge_node.delivery.verdict_handler import VerdictHandler
from edge_node.gate.gate_controller import GateController
from edge_node.gate.gate_policy import GatePolicy
from edge_node.gate.gates.log import LogGate, LogGateSettings
from edge_node.metrics import EdgeMetrics
from edge_node.outbox.journal import JournalLine, read_journal
from edge_node.outbox.outbox import Outbox
from edge_node.outbox.rows import Row, drop_message
from patchline.mqtt.delivery import Delivery
from patchline.wire.errors import UnavailableError, UnreadableError
from patchline.wire.messages import DropReceipt, Outcome, Verdict, sha256_of, to_json
from patchline.wire.topics import Station, Topics

STATION = "plant/line1/cam1"
Receive = Callable[..., None]


def log_gate() -> LogGate:
    no_link: Any = None
    return LogGate(LogGateSettings(), no_link)


class Desk:
    """Everything behind the verdict channel, on a real outbox."""

    def __init__(self, outbox: Outbox, path: Path) -> None:
        self.outbox, self._path, self.metrics = outbox, path, EdgeMetrics()
        self.schedule = RetrySchedule(SchedulePolicy(live_seconds=1e9), random.Random(1))
        topics, station = Topics(), Station.parse(STATION)
        self.publisher = Publisher(
            outbox, self.schedule, topics=topics, station=station, metrics=self.metrics, open_backlog=_no_backlog
        )
        self.keeper = GateController(log_gate(), outbox, STATION, GatePolicy(), self.metrics, clock=lambda: 0.0)
        self._receipts = VerdictHandler(
            outbox, self.publisher, self.keeper, station=STATION, boot_id="boot", metrics=self.metrics
        )

    def keep(self, row: Row, message: bytes) -> Row:
        self.outbox.append(row, message, "frame", payload_bytes=len(message), stages={"encode": 0.25})
        self.publisher.kept(row, keep_seconds=0.125)
        self.keeper.watch(row)
        return row

    def receive(self, receipt: Verdict | DropReceipt, received_at: float = 1.0) -> None:
        self._receipts.receive(Delivery(topic="t", payload=to_json(receipt), received_at=received_at))

    def journal(self) -> list[JournalLine]:
        return list(read_journal(self._path))

    def count(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"vad_edge_{name}", labels) or 0.0


def _no_backlog(_: object) -> Any:
    pytest.fail("no backlog here")


@pytest.fixture
def desk(open_outbox: Any, tmp_path: Path) -> Desk:
    return Desk(open_outbox(), tmp_path / "outbox.sqlite")


@pytest.fixture
def row(desk: Desk, make_trigger: Any) -> Row:
    return desk.keep(desk.outbox.reserve(make_trigger("washer")), b"the message")


def verdict(row: Row, outcome: Outcome = "normal", digest: str = "0" * 64, **other: Any) -> Verdict:
    return Verdict(
        inspection_id=row.inspection_id,
        station=STATION,
        boot_id=row.boot_id,
        sequence=row.sequence,
        part_id=row.part_id,
        captured_at=row.captured_at,
        outcome=outcome,
        received_sha256=digest,
        **other,
    )


def test_a_verdict_closes_its_row_and_its_stages_add_up(desk: Desk, row: Row) -> None:
    desk.receive(verdict(row, stages={"score": 0.0625}, server_seconds=0.125), received_at=1.0)
    (line,) = desk.journal()
    assert line.stages == {"encode": 0.25, "keep": 0.125, "score": 0.0625, "server": 0.125, "transmission": 0.5}
    assert (line.outcome, line.latency_seconds, line.gate_action, line.gate_grounds) == (
        "normal",
        1.0,
        "accept",
        "verdict",
    )
    assert (desk.outbox.state.rows, len(desk.schedule)) == (0, 0)
    assert desk.count("verdicts_total", outcome="normal") == 1
    assert desk.count("latency_seconds_count") == 1


def test_what_the_uplink_took_of_the_transmission_is_told_once_the_broker_acknowledged(desk: Desk, row: Row) -> None:
    ticket = desk.schedule.take(1e9, {"frame", "backlog"})
    assert ticket is not None
    desk.schedule.sent(ticket, 100, 0.25)
    desk.schedule.accepted(row.inspection_id, 0.625)
    desk.receive(verdict(row, server_seconds=0.125), received_at=1.0)
    (line,) = desk.journal()
    assert (line.stages["uplink"], line.stages["transmission"]) == (0.375, 0.5)


def test_a_repeated_verdict_is_counted_and_changes_nothing(desk: Desk, row: Row) -> None:
    for _ in range(3):
        desk.receive(verdict(row))
    assert len(desk.journal()) == 1
    assert desk.count("duplicate_receipts_total") == 2
    assert desk.count("verdicts_total", outcome="normal") == 1
    assert desk.keeper.watching == 1  # the one command that waits for the gate


def test_a_late_verdict_closes_the_row_and_leaves_the_gate_to_its_deadline(desk: Desk, row: Row) -> None:
    desk.receive(verdict(row, "anomalous"), received_at=2.5)
    (line,) = desk.journal()
    assert (line.outcome, line.latency_seconds, line.gate_grounds) == ("anomalous", 2.5, "")
    assert desk.outbox.claim_gate(row.inspection_id, "reject", "deadline")


def test_a_row_of_an_earlier_boot_has_no_latency(
    desk: Desk, open_outbox: Any, make_trigger: Any, tmp_path: Path
) -> None:
    desk.keep(desk.outbox.reserve(make_trigger()), b"old")
    desk.outbox.close()
    later = Desk(open_outbox("boot 2"), tmp_path / "outbox.sqlite")
    (row,) = later.outbox.pending()
    later._receipts._boot_id = "boot 2"
    later.receive(verdict(row, historical=True, server_seconds=0.5))
    (line,) = later.journal()
    assert (line.latency_seconds, "transmission" in line.stages) == (None, False)


def test_an_unreadable_message_is_known_by_its_digest(desk: Desk, row: Row) -> None:
    stranger = msgspec.structs.replace(
        verdict(row, "unreadable", sha256_of(b"the message")), inspection_id="0" * 8 + "-0000-4000-8000-" + "0" * 12
    )
    desk.receive(stranger)
    (line,) = desk.journal()
    assert (line.inspection_id, line.outcome, line.gate_action) == (row.inspection_id, "unreadable", "reject")


def test_a_digest_that_is_not_ours_sends_the_row_again(desk: Desk, row: Row) -> None:
    ticket = desk.schedule.take(1e9, {"frame", "backlog"})
    assert ticket is not None
    desk.schedule.sent(ticket, 1, 0.0)
    desk.schedule.accepted(row.inspection_id, 0.0)
    desk.receive(verdict(row, "unreadable", sha256_of(b"the mess")))
    assert desk.journal() == []
    assert ticket.state == "ready"
    assert desk.count("damaged_messages_total") == 1
    desk.receive(verdict(row))
    assert [line.outcome for line in desk.journal()] == ["normal"]
    desk.receive(verdict(row, "unreadable", sha256_of(b"the mess")))
    assert desk.count("duplicate_receipts_total") == 1


def test_a_verdict_on_a_damaged_copy_of_a_whole_picture_closes_its_row_and_is_counted(
    desk: Desk, row: Row, make_trigger: Any
) -> None:
    desk.receive(verdict(row, digest=sha256_of(b"the message")))
    assert desk.count("damaged_messages_total") == 0
    other = desk.keep(desk.outbox.reserve(make_trigger("other")), b"another message")
    desk.receive(verdict(other, digest=sha256_of(b"another massage")))
    assert desk.count("damaged_messages_total") == 1
    given_way = desk.keep(desk.outbox.reserve(make_trigger("third")), b"gave way")
    desk.outbox.append(given_way, drop_message(given_way, STATION, "superseded"), "drop", stages={})
    desk.receive(verdict(given_way, digest=sha256_of(b"gave way")))
    assert desk.count("damaged_messages_total") == 1
    assert [line.outcome for line in desk.journal()] == ["normal"] * 3


def test_a_drop_is_closed_by_its_receipt(desk: Desk, row: Row) -> None:
    desk.outbox.append(row, drop_message(row, STATION, "too_large"), "drop", stages={})
    names = ("inspection_id", "boot_id", "sequence", "part_id", "captured_at")
    fields: Any = {name: getattr(row, name) for name in names}
    desk.receive(DropReceipt(station=STATION, reason="too_large", **fields))
    (line,) = desk.journal()
    assert (line.outcome, line.reason, line.gate_grounds) == ("dropped", "too_large", "")
    assert desk.outbox.claim_gate(row.inspection_id, "reject", "deadline")


def test_another_stations_verdict_is_unreadable(desk: Desk, row: Row) -> None:
    with pytest.raises(UnreadableError, match="plant/line1/cam2"):
        desk.receive(msgspec.structs.replace(verdict(row), station="plant/line1/cam2"))
    assert desk.outbox.state.rows == 1


def test_what_cannot_be_written_down_stays_open_and_its_deadline_still_runs(
    desk: Desk, row: Row, monkeypatch: pytest.MonkeyPatch
) -> None:
    def disk_full(*_: object) -> None:
        raise UnavailableError("disk full")

    with monkeypatch.context() as patched:
        patched.setattr(desk.outbox, "confirm", disk_full)
        with pytest.raises(UnavailableError):
            desk.receive(verdict(row))
    assert (desk.outbox.state.rows, len(desk.schedule), desk.keeper.watching) == (1, 1, 1)
    desk.receive(verdict(row))
    assert [line.gate_action for line in desk.journal()] == ["accept"]


def test_a_part_that_was_judged_by_a_damaged_copy_is_closed_and_told(
    desk: Desk, row: Row, make_trigger: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The picture was whole, or it would be unreadable; the records may call the part otherwise than it is called."""
    whole, damaged = sha256_of(b"the message"), sha256_of(b"the massage")
    desk.receive(msgspec.structs.replace(verdict(row, digest=damaged), sequence=1025))
    assert desk.outbox.row(row.inspection_id) is None
    assert desk.count("damaged_messages_total") == 1
    assert "part washer, number 1, was judged by a copy damaged on the way, which called it washer, number 1025" in (
        caplog.text
    )
    other = desk.keep(desk.outbox.reserve(make_trigger()), b"the message")
    desk.receive(verdict(other, digest=whole))
    assert desk.count("damaged_messages_total") == 1


def test_a_verdict_that_was_recorded_before_a_drop_of_its_part_closes_the_drop(desk: Desk, row: Row) -> None:
    """The service answers a drop that came second with what stands, so that it is not sent for ever."""
    desk.outbox.append(row, drop_message(row, STATION, "superseded"), "drop", stages={})
    desk.receive(verdict(row, digest=sha256_of(b"the message")))
    assert desk.outbox.row(row.inspection_id) is None
    assert [line.outcome for line in desk.journal()] == ["normal"]
    assert len(desk.schedule) == 0
    assert desk.count("damaged_messages_total") == 0


def test_a_drop_that_was_recorded_before_a_verdict_on_its_part_closes_the_frame(desk: Desk, row: Row) -> None:
    fields = {name: getattr(verdict(row), name) for name in ("inspection_id", "station", "boot_id", "sequence")}
    desk.receive(DropReceipt(**fields, part_id=row.part_id, captured_at=row.captured_at, reason="superseded"))
    assert desk.outbox.row(row.inspection_id) is None
    assert [(line.outcome, line.reason) for line in desk.journal()] == [("dropped", "superseded")]
    assert len(desk.schedule) == 0
