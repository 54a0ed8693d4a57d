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
from edge_node.outbox.rows import Closing, Kind, Row, Trigger
from patchline.wire.errors import MisconfiguredError, UnavailableError, UnreadableError
from patchline.wire.messages import sha256_of

Opener = Callable[..., Outbox]
MakeTrigger = Callable[..., Trigger]
Eventually = Callable[..., None]
NORMAL = Closing(outcome="normal")


def change(path: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement, values)


def is_whole(path: Path) -> bool:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


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
    with pytest.raises(UnavailableError, match="another edge node uses this outbox"):
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


@pytest.mark.parametrize("version", [1, 2])
def test_an_outbox_of_an_older_patchline_is_refused_with_what_to_do(
    open_outbox: Opener, tmp_path: Path, version: int
) -> None:
    with closing(sqlite3.connect(tmp_path / "outbox.sqlite")) as connection:
        connection.execute("CREATE TABLE inspections (sequence INTEGER PRIMARY KEY)")
        connection.execute(f"PRAGMA user_version={version}")
    with pytest.raises(
        MisconfiguredError, match=f"version {version}.* run the patchline that wrote it until it is empty"
    ):
        open_outbox()


@pytest.mark.parametrize("kind", ["frame", "drop"])
def test_a_damaged_message_is_refused_and_can_be_told_as_a_drop(
    open_outbox: Opener, make_trigger: MakeTrigger, tmp_path: Path, kind: Kind
) -> None:
    """SQLite's pages have no checksums of their own."""
    outbox = open_outbox()
    row = outbox.reserve(make_trigger())
    outbox.append(row, b"message of part 17", kind, stages={})
    change(tmp_path / "outbox.sqlite", "UPDATE messages SET body = ?", b"message of part 19")
    with pytest.raises(UnreadableError, match="damaged on this disk"):
        outbox.message(row.sequence)
    outbox.append(row, b"told again", "drop", stages={})
    assert outbox.message(row.sequence) == b"told again"
    assert outbox.state.bytes == 10
    assert outbox.confirm(row.inspection_id, NORMAL) is not None


def test_a_message_that_is_missing_is_damaged(open_outbox: Opener, make_trigger: MakeTrigger, tmp_path: Path) -> None:
    outbox = open_outbox()
    row = kept(outbox, make_trigger())
    change(tmp_path / "outbox.sqlite", "DELETE FROM messages")
    with pytest.raises(UnreadableError, match="damaged on this disk"):
        outbox.message(row.sequence)


def test_a_row_gets_no_other_parts_message(open_outbox: Opener, make_trigger: MakeTrigger, tmp_path: Path) -> None:
    outbox = open_outbox()
    first, second = (kept(outbox, make_trigger(), message) for message in (b"one", b"two"))
    change(tmp_path / "outbox.sqlite", "UPDATE messages SET body = ? WHERE sequence = 1", b"two")
    assert outbox.message(second.sequence) == b"two"
    with pytest.raises(UnreadableError, match="damaged on this disk"):
        outbox.message(first.sequence)


def test_the_space_of_closed_rows_is_used_again(open_outbox: Opener, make_trigger: MakeTrigger, tmp_path: Path) -> None:
    outbox = open_outbox(budget_bytes=10**9)
    for _ in range(3):
        rows = [kept(outbox, make_trigger(), b"x" * 500_000) for _ in range(6)]
        for row in rows:
            outbox.confirm(row.inspection_id, NORMAL)
    outbox.close()
    assert (tmp_path / "outbox.sqlite").stat().st_size < 4_000_000
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "outbox.sqlite",
        "outbox.sqlite.lock",
        "outbox.sqlite.reserved",
    ]


def test_checkpoints_let_the_write_ahead_log_begin_anew_while_others_write(
    open_outbox: Opener,
    make_trigger: MakeTrigger,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    eventually: Eventually,
) -> None:
    monkeypatch.setattr("edge_node.outbox.store._CHECKPOINT_BYTES", 500_000)
    monkeypatch.setattr("edge_node.outbox.store._QUIET_WAIT_SECONDS", 0.0)
    outbox, log = open_outbox(budget_bytes=10**9), tmp_path / "outbox.sqlite-wal"
    rows = [kept(outbox, make_trigger())]

    def times_begun() -> int:
        with log.open("rb") as file:
            return int.from_bytes(file.read(16)[12:], "big")

    first = times_begun()

    def begins_three_times() -> bool:
        rows.append(kept(outbox, make_trigger(), b"x" * 100_000))
        return times_begun() >= first + 3

    eventually(begins_three_times)
    assert outbox.state.bytes == 7 + (len(rows) - 1) * 100_000
    assert [row.sequence for row in outbox.pending()] == [row.sequence for row in rows]
    assert is_whole(tmp_path / "outbox.sqlite")


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
    before = outbox.pending()
    frames = sum(row.kind == "frame" for row in before)
    assert frames > 20
    for row in before:
        outbox.confirm(row.inspection_id, NORMAL)
    assert outbox.state.rows == 0
    for _ in range(frames // 2):
        kept(outbox, make_trigger(), message)
    assert is_whole(path)
    assert len(list(read_journal(path))) == len(before)


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
                word, number, inspection_id = line.split() if line.endswith("\n") else ("torn", "0", "")
                if word == "kept":
                    kept_rows[int(number)] = inspection_id
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
from edge_node.outbox import store
boot, store._CHECKPOINT_BYTES = sys.argv[2], int(sys.argv[3])
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
@pytest.mark.parametrize("checkpoint_bytes", [32 * 1024 * 1024, 100_000], ids=["rare", "frequent checkpoints"])
def test_sigkill_loses_no_number_no_row_and_leaves_no_half_one(
    tmp_path: Path, open_outbox: Opener, checkpoint_bytes: int
) -> None:
    path = tmp_path / "outbox.sqlite"
    rng = random.Random(20261122)
    told: list[list[str]] = []
    for boot in range(12):
        victim = [sys.executable, "-c", VICTIM, str(path), str(boot), str(checkpoint_bytes)]
        with subprocess.Popen(victim, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            told.append(process.stdout.readline().split())
            time.sleep(rng.uniform(0.0, 0.25))
            process.kill()
            told.extend(line.split() for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n"))
    outbox = open_outbox()
    assert is_whole(path)
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
