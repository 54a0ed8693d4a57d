"""A station that is only just making its outbox has closed nothing yet; that is no error."""

import sqlite3
from contextlib import closing
from pathlib import Path

from edge_node.outbox.outbox import Outbox
from patchline.replay.program_records import journal_of


def test_an_outbox_that_is_not_there_empty_or_without_tables_has_closed_nothing(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite"
    assert journal_of(path) == []
    path.touch()
    assert journal_of(path) == []
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE identity (station TEXT NOT NULL) STRICT")
    assert journal_of(path) == []


def test_a_new_outbox_has_closed_nothing_either(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite"
    with closing(Outbox(path, "plant/line1/cam1", boot_id="b", clock_id="c", budget_bytes=10**6)):
        assert journal_of(path) == []
