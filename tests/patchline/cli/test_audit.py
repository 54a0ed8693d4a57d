"""`patchline audit`: what is judged, dropped, waiting, told at the edge, or lost."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from typer.testing import CliRunner

from analytics_service.records.outcomes import outcome_of_drop, outcome_of_verdict
from analytics_service.records.records import Records
from edge_node.outbox.outbox import Outbox
from edge_node.outbox.rows import Closing, Row, Trigger
from patchline.cli.app import app
from patchline.wire.messages import DropMessage, Verdict

STATION = "plant/line1/cam1"


class Line:
    """A station's outbox and the service's records, without anything between them."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "outbox.sqlite"
        self.url = f"sqlite:///{folder}/records.db"
        self.records = Records(self.url)
        self.outbox = Outbox(self.path, STATION, boot_id="b", clock_id="c", budget_bytes=10**7)

    def part(self) -> Row:
        trigger = Trigger(inspection_id=str(uuid4()), part_id="part", captured_at=1.0, captured_monotonic=1.0)
        row = self.outbox.reserve(trigger)
        self.outbox.append(row, b"frame", "frame", stages={})
        return row

    def decide(self, row: Row, *, reason: str = "", at: float = 1.0) -> None:
        identity: dict[str, Any] = {
            "inspection_id": row.inspection_id,
            "station": STATION,
            "boot_id": "b",
            "sequence": row.sequence,
            "part_id": "part",
            "captured_at": 1.0,
        }
        if reason:
            self.records.store([outcome_of_drop(DropMessage(**identity, reason=reason), recorded_at=at)])  # type: ignore[arg-type]
            return
        verdict = Verdict(**identity, outcome="normal", received_sha256="0" * 64, judged_at=at)
        self.records.store([outcome_of_verdict(verdict, recorded_at=at)])

    def close(self, row: Row, outcome: str = "normal") -> None:
        self.outbox.confirm(row.inspection_id, Closing(outcome=outcome))


@pytest.fixture
def line(tmp_path: Path) -> Any:
    line = Line(tmp_path)
    yield line
    line.outbox.close()
    line.records.close()


@pytest.fixture
def audit(line: Line) -> Callable[..., Any]:
    return lambda *arguments: CliRunner().invoke(
        app, ["audit", "--records", line.url, *arguments], catch_exceptions=False, terminal_width=200
    )


def test_a_line_whose_books_balance_ends_with_0(line: Line, audit: Callable[..., Any]) -> None:
    rows = [line.part() for _ in range(3)]
    line.decide(rows[0])
    line.decide(rows[1], reason="superseded")
    line.decide(rows[2])
    done = audit("--json")
    assert done.exit_code == 0, done.output
    (account,) = json.loads(done.output)
    assert (account["judged"], account["dropped"]) == ({"normal": 2}, {"superseded": 1})
    assert (account["first"], account["last"], account["unaccounted_parts"]) == (1, 3, 0)


def test_a_lost_part_is_named_and_ends_with_1(line: Line, audit: Callable[..., Any]) -> None:
    rows = [line.part() for _ in range(4)]
    line.decide(rows[0])
    line.decide(rows[3])
    done = audit()
    assert done.exit_code == 1
    assert "2: 2-3" in done.output
    assert audit("--grace", "1e12").exit_code == 0


def test_with_the_outbox_every_number_is_known(line: Line, audit: Callable[..., Any]) -> None:
    rows = [line.part() for _ in range(7)]
    line.decide(rows[1])
    line.decide(rows[4])
    for row in rows[1:4]:
        line.close(row, "unreadable" if row is rows[2] else "normal")
    done = audit("--edge-journal", str(line.path), "--json")
    (account,) = json.loads(done.output)
    assert account["waiting"] == 3
    assert account["told_at_edge"] == {"normal": 1, "unreadable": 1}
    assert account["unaccounted"] == []
    assert (account["first"], account["last"]) == (1, 7)
    assert done.exit_code == 0
    text = audit("--edge-journal", str(line.path)).output
    assert "closed at the edge and not on record: 1 normal, 1 unreadable" in text


def test_with_the_outbox_even_the_last_part_cannot_be_lost_unseen(line: Line, audit: Callable[..., Any]) -> None:
    rows = [line.part() for _ in range(3)]
    line.decide(rows[0])
    line.close(rows[0])
    with closing(sqlite3.connect(line.path)) as connection, connection:
        connection.execute("DELETE FROM inspections WHERE sequence = 3")
    assert audit().exit_code == 0
    done = audit("--edge-journal", str(line.path), "--json")
    assert done.exit_code == 1
    assert json.loads(done.output)[0]["unaccounted"] == [[3, 3]]


def test_a_station_that_is_not_on_record_is_not_all_well(line: Line, audit: Callable[..., Any]) -> None:
    line.decide(line.part())
    for station, words in (("plant/line1/cma1", f"choose from {STATION}"), ("cam1", "write it as site/line/station")):
        done = audit("--records", line.url, "--station", station)
        assert done.exit_code == 2
        assert words in done.stderr


def test_records_must_be_named_once_and_exist(audit: Callable[..., Any], tmp_path: Path) -> None:
    def fails(*arguments: str) -> str:
        done = CliRunner().invoke(app, ["audit", *arguments])
        assert done.exit_code == 2
        return done.output

    assert "named twice or not at all" in fails()
    assert "there are no records yet" in fails("--records", f"sqlite:///{tmp_path}/nowhere.db")
    assert not (tmp_path / "nowhere.db").exists()
    assert "no such outbox" in str(audit("--edge-journal", str(tmp_path / "none")).output)
