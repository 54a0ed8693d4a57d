"""The durable rows: numbers without gaps, a budget, one owner, one close."""

import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from edge_node.outbox.journal import read_journal
from edge_node.outbox.outbox import Outbox
from edge_node.outbox.rows import Closing, Row, Trigger
from patchline.wire.errors import MisconfiguredError, UnavailableError, UnreadableError
from patchline.wire.messages import sha256_of

Opener = Callable[..., Outbox]
MakeTrigger = Callable[..., Trigger]
NORMAL = Closing(outcome="normal")


def kept(outbox: Outbox, trigger: Trigger, message: bytes = b"message") -> Row:
    row = outbox.reserve(trigger)
    outbox.append(row, message, "frame", payload_bytes=3, stages={"encode": 0.25})
    return row


def test_numbers_are_gapless_and_go_on_after_a_reboot(open_outbox: Opener, make_trigger: MakeTrigger) -> None:
    first = open_outbox()
    assert [first.reserve(make_trigger()).sequence for _ in range(3)] == [1, 2, 3]
    for row in first.pending():
        first.confirm(row.inspection_id, NORMAL)
    first.close()
    second = open_outbox("later")
    assert [second.reserve(make_trigger()).sequence for _ in range(2)] == [4, 5]


def test_a_part_without_an_id_is_called_after_its_number(open_outbox: Opener, make_trigger: MakeTrigger) -> None:
    outbox = open_outbox()
    assert outbox.reserve(make_trigger("washer")).part_id == "washer"
    assert outbox.reserve(make_trigger(None)).part_id == "2"


def test_a_row_keeps_its_message_byte_for_byte(open_outbox: Opener, make_trigger: MakeTrigger) -> None:
    outbox = open_outbox()
    row = kept(outbox, make_trigger(), b"\x00exact\xff")
    assert outbox.message(row.sequence) == b"\x00exact\xff"
    found = outbox.row_of_message(sha256_of(b"\x00exact\xff"))
    assert found is not None
    assert (found.inspection_id, found.kind, found.message_bytes, found.stages) == (
        row.inspection_id,
        "frame",
        7,
        {"encode": 0.25},
    )


def test_confirming_closes_once_and_leaves_a_line(
    open_outbox: Opener, make_trigger: MakeTrigger, tmp_path: Path
) -> None:
    outbox = open_outbox()
    row = kept(outbox, make_trigger("washer"))
    closing = Closing(outcome="anomalous", latency_seconds=0.5, sends=2, stages={"score": 0.125})
    line = outbox.confirm(row.inspection_id, closing)
    assert line is not None
    assert outbox.confirm(row.inspection_id, closing) is None
    assert outbox.message(row.sequence) is None
    assert list(read_journal(tmp_path / "outbox.sqlite")) == [line]
    assert (line.part_id, line.outcome, line.stages, line.payload_bytes, line.wire_bytes, line.sends) == (
        "washer",
        "anomalous",
        {"encode": 0.25, "score": 0.125},
        3,
        7,
        2,
    )


def test_the_journal_forgets_the_oldest(open_outbox: Opener, make_trigger: MakeTrigger, tmp_path: Path) -> None:
    outbox = open_outbox(journal_lines=3)
    for _ in range(5):
        outbox.confirm(kept(outbox, make_trigger()).inspection_id, NORMAL)
    assert [line.sequence for line in read_journal(tmp_path / "outbox.sqlite")] == [3, 4, 5]


def test_state_counts_rows_and_bytes_also_after_a_reboot(open_outbox: Opener, make_trigger: MakeTrigger) -> None:
    outbox = open_outbox()
    row = kept(outbox, make_trigger(), b"12345")
    kept(outbox, make_trigger(), b"123")
    outbox.append(row, b"1", "drop", stages={})
    expected = (2, 4, 1.0)
    assert (outbox.state.rows, outbox.state.bytes, outbox.state.oldest_captured_at) == expected
    outbox.close()
    state = open_outbox("later").state
    assert (state.rows, state.bytes, state.oldest_captured_at) == expected


def test_over_the_budget_frames_are_refused_and_drops_still_fit(open_outbox: Opener, make_trigger: MakeTrigger) -> None:
    outbox = open_outbox(budget_bytes=100_000)
    kept(outbox, make_trigger(), b"x" * 90_000)
    row = outbox.reserve(make_trigger())
    with pytest.raises(UnavailableError, match="full"):
        outbox.append(row, b"x" * 20_000, "frame", stages={})
    outbox.append(row, b"x" * 500, "drop", stages={})
    outbox.confirm(outbox.pending()[0].inspection_id, NORMAL)
    kept(outbox, make_trigger(), b"x" * 90_000)


def test_not_even_drops_are_unbounded(open_outbox: Opener, make_trigger: MakeTrigger) -> None:
    outbox = open_outbox(budget_bytes=1)
    with pytest.raises(UnavailableError, match="full"):  # noqa: PT012  it is the sum that is refused
        for _ in range(3000):
            outbox.reserve(make_trigger())
    assert outbox.state.rows < 1100


def test_the_gate_is_claimed_once(open_outbox: Opener, make_trigger: MakeTrigger) -> None:
    outbox = open_outbox()
    row = kept(outbox, make_trigger())
    assert outbox.claim_gate(row.inspection_id, "reject", "deadline")
    assert not outbox.claim_gate(row.inspection_id, "accept", "deadline")
    line = outbox.confirm(row.inspection_id, Closing(outcome="normal", gate_action="accept", gate_grounds="verdict"))
    assert line is not None
    assert (line.gate_action, line.gate_grounds) == ("reject", "deadline")
    assert not outbox.claim_gate(row.inspection_id, "accept", "deadline")


def test_a_closed_part_still_has_its_deadline_unless_its_verdict_moved_the_gate(
    open_outbox: Opener, make_trigger: MakeTrigger, tmp_path: Path
) -> None:
    outbox = open_outbox()
    dropped, judged = kept(outbox, make_trigger()), kept(outbox, make_trigger())
    outbox.confirm(dropped.inspection_id, Closing(outcome="dropped"))
    outbox.confirm(judged.inspection_id, Closing(outcome="normal", gate_action="accept", gate_grounds="verdict"))
    assert outbox.claim_gate(dropped.inspection_id, "reject", "deadline")
    assert not outbox.claim_gate(judged.inspection_id, "reject", "deadline")
    assert [line.gate_action for line in read_journal(tmp_path / "outbox.sqlite")] == ["reject", "accept"]


def test_another_stations_file_is_refused(open_outbox: Opener, tmp_path: Path) -> None:
    open_outbox().close()
    with pytest.raises(MisconfiguredError, match="belongs to station plant/line1/cam1"):
        Outbox(tmp_path / "outbox.sqlite", "plant/line1/cam2", boot_id="b", clock_id="c", budget_bytes=1)


def test_a_second_process_is_refused(open_outbox: Opener, tmp_path: Path) -> None:
    open_outbox()
    with pytest.raises(MisconfiguredError, match="another edge node uses this outbox"):
        open_outbox()


def test_a_file_that_is_no_outbox_is_refused(open_outbox: Opener, tmp_path: Path) -> None:
    (tmp_path / "outbox.sqlite").write_bytes(b"no database at all, but long enough to look at " * 40)
    with pytest.raises(MisconfiguredError, match="damaged or no outbox"):
        open_outbox()


def test_the_database_of_something_else_is_refused(open_outbox: Opener, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "outbox.sqlite")) as connection:
        connection.execute("CREATE TABLE treasure (gold TEXT)")
    with pytest.raises(MisconfiguredError, match="database of something else"):
        open_outbox()


def test_an_outbox_of_a_newer_patchline_is_refused(open_outbox: Opener, tmp_path: Path) -> None:
    open_outbox().close()
    with closing(sqlite3.connect(tmp_path / "outbox.sqlite")) as connection:
        connection.execute("PRAGMA user_version=99")
    with pytest.raises(MisconfiguredError, match="version 99"):
        open_outbox()


VERSION_1 = """
CREATE TABLE identity (station TEXT NOT NULL) STRICT;
CREATE TABLE inspections (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, inspection_id TEXT NOT NULL UNIQUE, part_id TEXT NOT NULL,
    boot_id TEXT NOT NULL, clock_id TEXT NOT NULL, captured_at REAL NOT NULL, captured_monotonic REAL NOT NULL,
    kind TEXT NOT NULL DEFAULT 'reserved', message BLOB, sha256 TEXT, payload_bytes INTEGER NOT NULL DEFAULT 0,
    stages TEXT NOT NULL DEFAULT '{}', gate_action TEXT NOT NULL DEFAULT '', gate_grounds TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX inspections_by_sha256 ON inspections (sha256);
CREATE TABLE journal (
    number INTEGER PRIMARY KEY AUTOINCREMENT, sequence INTEGER NOT NULL UNIQUE, inspection_id TEXT NOT NULL UNIQUE,
    part_id TEXT NOT NULL, boot_id TEXT NOT NULL, captured_at REAL NOT NULL, outcome TEXT NOT NULL,
    reason TEXT NOT NULL, latency_seconds REAL, payload_bytes INTEGER NOT NULL, wire_bytes INTEGER NOT NULL,
    sends INTEGER NOT NULL, stages TEXT NOT NULL, gate_action TEXT NOT NULL, gate_grounds TEXT NOT NULL
) STRICT;
INSERT INTO identity VALUES ('plant/line1/cam1');
INSERT INTO inspections (inspection_id, part_id, boot_id, clock_id, captured_at, captured_monotonic)
    VALUES ('first', 'a', 'b', 'c', 1, 1), ('second', 'b', 'b', 'c', 2, 2);
UPDATE inspections SET kind = 'frame', message = x'0102030405',
    sha256 = '74f81fe167d99b4cb41d6d0ccda82278caee9f3e2f25d5e5a3936ff3dcec60d0' WHERE sequence = 1;
PRAGMA user_version = 1;
"""


def test_an_outbox_of_an_older_patchline_is_taken_over_with_what_it_holds(
    open_outbox: Opener, make_trigger: MakeTrigger, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "outbox.sqlite")) as connection:
        connection.executescript(VERSION_1)
    outbox = open_outbox()
    assert [(row.sequence, row.kind, row.message_bytes) for row in outbox.pending()] == [
        (1, "frame", 5),
        (2, "reserved", 0),
    ]
    assert outbox.message(1) == b"\x01\x02\x03\x04\x05"
    assert outbox.state.bytes == 5
    assert outbox.confirm("first", NORMAL) is not None
    assert kept(outbox, make_trigger()).sequence == 3
    outbox.close()
    assert open_outbox("later").message(3) == b"message"


def test_a_frame_whose_row_did_not_hear_of_it_is_found_at_the_next_boot(
    open_outbox: Opener, make_trigger: MakeTrigger, tmp_path: Path
) -> None:
    outbox = open_outbox()
    rows = [kept(outbox, make_trigger(), b"frame %d" % number) for number in range(3)]
    with closing(sqlite3.connect(tmp_path / "outbox.sqlite")) as connection:
        kinds = connection.execute("SELECT kind FROM inspections ORDER BY sequence").fetchall()
    assert kinds[-1] == ("reserved",), "the flush of the segment is all that a frame waits for"
    outbox._transactions._deferred.clear()
    outbox.close()
    later = open_outbox("later")
    assert [row.kind for row in later.pending()] == ["frame"] * 3
    assert [later.message(row.sequence) for row in rows] == [b"frame 0", b"frame 1", b"frame 2"]
    assert later.state.bytes == 21
    assert later.row(rows[2].inspection_id) == later.row_of_message(sha256_of(b"frame 2"))


def test_a_damaged_message_is_refused_and_can_be_told_as_a_drop(
    open_outbox: Opener, make_trigger: MakeTrigger, tmp_path: Path
) -> None:
    outbox = open_outbox()
    row = kept(outbox, make_trigger(), b"message")
    segment = next(tmp_path.glob("*.segment"))
    segment.write_bytes(segment.read_bytes().replace(b"message", b"massage"))
    with pytest.raises(UnreadableError, match="damaged on this disk"):
        outbox.message(row.sequence)
    outbox.append(row, b"drop", "drop", stages={})
    assert outbox.message(row.sequence) == b"drop"
    assert outbox.state.bytes == 4


def test_a_damaged_drop_record_is_refused_too(open_outbox: Opener, make_trigger: MakeTrigger, tmp_path: Path) -> None:
    """SQLite's pages have no checksums of their own."""
    outbox = open_outbox()
    row = outbox.reserve(make_trigger())
    outbox.append(row, b"drop of part 17", "drop", stages={})
    with closing(sqlite3.connect(tmp_path / "outbox.sqlite")) as connection, connection:
        connection.execute("UPDATE inspections SET message = ?", (b"drop of part 19",))
    with pytest.raises(UnreadableError, match="damaged on this disk"):
        outbox.message(row.sequence)
    outbox.append(row, b"told again", "drop", stages={})
    assert outbox.message(row.sequence) == b"told again"
    assert outbox.confirm(row.inspection_id, NORMAL) is not None


def test_a_row_that_points_to_another_parts_frame_gets_no_message(
    open_outbox: Opener, make_trigger: MakeTrigger, tmp_path: Path
) -> None:
    outbox = open_outbox()
    first, second = (kept(outbox, make_trigger(), message) for message in (b"one", b"two"))
    outbox.pending()
    with closing(sqlite3.connect(tmp_path / "outbox.sqlite")) as connection, connection:
        place = "SELECT place FROM inspections WHERE sequence = ?"
        (other,) = connection.execute(place, (second.sequence,)).fetchone()
        connection.execute("UPDATE inspections SET place = ? WHERE sequence = ?", (other, first.sequence))
    assert outbox.message(second.sequence) == b"two"
    with pytest.raises(UnreadableError, match="damaged on this disk"):
        outbox.message(first.sequence)


def test_frames_are_noted_in_the_order_in_which_they_are_on_the_disk(
    open_outbox: Opener, make_trigger: MakeTrigger
) -> None:
    """A note says that everything before it is noted, too: the scan after a crash begins behind it."""
    outbox = open_outbox()
    rows = [outbox.reserve(make_trigger()) for _ in range(48)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda row: outbox.append(row, b"message", "frame", stages={}), rows))
    positions = [position for _, position in outbox._fresh.values()]
    assert len(positions) == 48
    assert positions == sorted(positions)


def test_segments_without_open_rows_are_gone_and_one_old_row_does_not_keep_the_rest(
    open_outbox: Opener, make_trigger: MakeTrigger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_node.outbox.frame_log._MOST_WASTE_BYTES", 20_000_000)
    outbox = open_outbox(budget_bytes=10**9)
    message = random.Random(2).randbytes(2_000_000)
    stuck = []
    for number in range(40):
        row = kept(outbox, make_trigger(), message)
        if number % 4 == 0 and number < 24:
            stuck.append(row)
        else:
            outbox.confirm(row.inspection_id, NORMAL)
    assert sum(path.stat().st_size for path in tmp_path.glob("*.segment")) < 2 * 12_000_000 + 20_000_000 + 10_000_000
    assert [outbox.message(row.sequence) == message for row in stuck] == [True] * 6
    for row in stuck:
        outbox.confirm(row.inspection_id, NORMAL)
    outbox.close()
    open_outbox("later")
    assert list(tmp_path.glob("*.segment")) == []


def test_many_threads_share_commits_and_none_loses_a_number(
    open_outbox: Opener, make_trigger: MakeTrigger, tmp_path: Path
) -> None:
    outbox = open_outbox()

    def work() -> None:
        for _ in range(25):
            row = kept(outbox, make_trigger(), b"x" * 5000)
            assert outbox.message(row.sequence) == b"x" * 5000
            assert outbox.claim_gate(row.inspection_id, "accept", "verdict")
            assert outbox.confirm(row.inspection_id, NORMAL) is not None

    with ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(work) for _ in range(6)]:
            done.result()
    assert [line.sequence for line in read_journal(tmp_path / "outbox.sqlite")] == list(range(1, 151))
    assert (outbox.state.rows, outbox.state.bytes) == (0, 0)


def test_frames_give_way_to_their_drop_records_once(open_outbox: Opener, make_trigger: MakeTrigger) -> None:
    outbox = open_outbox()
    first, second = kept(outbox, make_trigger(), b"x" * 100), kept(outbox, make_trigger(), b"y" * 100)
    assert [row.sequence for row in outbox.replace_frames([(first, b"gone")])] == [1]
    assert outbox.replace_frames([(first, b"gone again")]) == []
    assert outbox.message(first.sequence) == b"gone"
    assert [row.sequence for row in outbox.frames()] == [second.sequence]
    assert outbox.state.bytes == 104


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 12 MB."""
    place = tmp_path / "small"
    place.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mount.returncode:
        pytest.skip("a small disk can only be mounted by root")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_on_a_full_disk_nothing_is_taken_but_the_outbox_empties_and_goes_on(
    small_disk: Path, make_trigger: MakeTrigger, request: pytest.FixtureRequest
) -> None:
    message = random.Random(1).randbytes(60_000)
    path = small_disk / "outbox.sqlite"
    outbox = Outbox(path, "plant/line1/cam1", boot_id="b", clock_id="c", budget_bytes=10**9)
    request.addfinalizer(outbox.close)
    with pytest.raises(UnavailableError, match="full"):  # noqa: PT012  one of many is refused
        while True:
            kept(outbox, make_trigger(), message)
    with pytest.raises(UnavailableError, match="full"):  # noqa: PT012  small records fit a while longer
        while True:
            outbox.append(outbox.reserve(make_trigger()), b"d" * 400, "drop", stages={})
    before = outbox.state
    assert before.rows > 20
    for row in outbox.pending():
        outbox.confirm(row.inspection_id, NORMAL)
    assert outbox.state.rows == 0
    for _ in range(before.rows // 2):
        kept(outbox, make_trigger(), message)
    assert outbox._connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert len(list(read_journal(path))) == before.rows


@pytest.mark.slow
def test_sigkill_on_a_full_disk_keeps_every_row_that_was_told(small_disk: Path, tmp_path: Path) -> None:
    path = small_disk / "outbox.sqlite"
    rng = random.Random(7)
    kept_rows: dict[int, str] = {}
    for boot in range(6):
        victim = [sys.executable, "-c", FILLER, str(path), str(boot)]
        with subprocess.Popen(victim, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(rng.uniform(0.05, 0.4))
            process.kill()
            for line in process.stdout.read().splitlines(keepends=True):
                word, sequence, inspection_id = line.split() if line.endswith("\n") else ("torn", "0", "")
                if word == "kept":
                    kept_rows[int(sequence)] = inspection_id
    outbox = Outbox(path, "plant/line1/cam1", boot_id="last", clock_id="c", budget_bytes=10**9)
    with closing(outbox):
        rows = {row.sequence: row for row in outbox.pending()}
        assert sorted(rows) == list(range(1, len(rows) + 1))
        for sequence, inspection_id in kept_rows.items():
            assert rows[sequence].inspection_id == inspection_id
            assert outbox.message(sequence) == inspection_id.encode() * 1500
        for row in rows.values():
            assert outbox.confirm(row.inspection_id, NORMAL) is not None
        assert outbox.state.rows == 0


FILLER = """
import sys
from pathlib import Path
from uuid import uuid4
from edge_node.outbox.outbox import Outbox
from edge_node.outbox.rows import Trigger
from patchline.wire.errors import UnavailableError
outbox = Outbox(Path(sys.argv[1]), "plant/line1/cam1", boot_id=sys.argv[2], clock_id="c", budget_bytes=10**9)
print("open 0 0", flush=True)
while True:
    trigger = Trigger(inspection_id=str(uuid4()), part_id=None, captured_at=0.0, captured_monotonic=0.0)
    try:
        row = outbox.reserve(trigger)
        outbox.append(row, row.inspection_id.encode() * 1500, "frame", stages={})
    except UnavailableError:
        print("full 0 0", flush=True)
    else:
        print("kept", row.sequence, row.inspection_id, flush=True)
"""


VICTIM = """
import sys
from pathlib import Path
from uuid import uuid4
from edge_node.outbox.outbox import Outbox
from edge_node.outbox.rows import Closing, Trigger
boot = sys.argv[2]
outbox = Outbox(Path(sys.argv[1]), "plant/line1/cam1", boot_id=boot, clock_id="c", budget_bytes=10**9)
for row in outbox.pending():
    if row.kind == "reserved":
        outbox.append(row, b"interrupted", "drop", stages={})
while True:
    row = outbox.reserve(Trigger(inspection_id=str(uuid4()), part_id=None, captured_at=0.0, captured_monotonic=0.0))
    print("reserved", row.sequence, flush=True)
    message = row.inspection_id.encode() * 1500
    outbox.append(row, message, "frame", payload_bytes=len(message), stages={})
    print("kept", row.sequence, row.inspection_id, flush=True)
    if row.sequence % 3 == 0:
        outbox.confirm(row.inspection_id, Closing(outcome="normal"))
        print("closed", row.sequence, row.inspection_id, flush=True)
"""


@pytest.mark.slow
def test_sigkill_loses_no_number_no_row_and_leaves_no_half_one(tmp_path: Path, open_outbox: Opener) -> None:
    path = tmp_path / "outbox.sqlite"
    rng = random.Random(20261122)
    told: list[list[str]] = []
    for boot in range(12):
        victim = [sys.executable, "-c", VICTIM, str(path), str(boot)]
        with subprocess.Popen(victim, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            told.append(process.stdout.readline().split())
            time.sleep(rng.uniform(0.0, 0.25))
            process.kill()
            told.extend(line.split() for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n"))
    outbox = open_outbox()
    assert outbox._connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    rows = {row.sequence: row for row in outbox.pending()}
    closed = {line.sequence: line for line in read_journal(path)}
    assert not rows.keys() & closed.keys()
    assert sorted(rows.keys() | closed.keys()) == list(range(1, len(rows) + len(closed) + 1))
    for row in rows.values():
        if row.kind == "frame":
            assert outbox.message(row.sequence) == row.inspection_id.encode() * 1500
    assert sum(row.kind == "reserved" for row in rows.values()) <= 1
    for word, sequence, *_ in told:
        known = int(sequence) in (closed if word == "closed" else rows.keys() | closed.keys())
        assert known, (word, sequence)
        if word == "kept" and int(sequence) in rows:
            assert rows[int(sequence)].kind == "frame"
