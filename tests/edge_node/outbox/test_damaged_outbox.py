"""A file that is damaged, deleted or replaced: the line goes on, or stops and says why; nothing is lost in silence."""

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from edge_node.outbox.database import look_at
from edge_node.outbox.journal import read_journal
from edge_node.outbox.outbox import Outbox
from edge_node.outbox.rows import Closing, Row, Trigger
from patchline.wire.errors import MisconfiguredError, UnavailableError, UnreadableError
from tests.edge_node.outbox.damage import cut_in_half, spoil_header, spoil_running, spoil_table

Opener = Callable[..., Outbox]
MakeTrigger = Callable[..., Trigger]
STATION = "plant/line1/cam1"
NORMAL = Closing(outcome="normal")


def kept(outbox: Outbox, trigger: Trigger, message: bytes = b"message") -> Row:
    row = outbox.reserve(trigger)
    outbox.append(row, message, "frame", stages={})
    return row


def files_set_aside(folder: Path) -> list[str]:
    return [path.name for path in folder.glob("outbox.sqlite.damaged-*Z")]


@pytest.mark.parametrize(
    ("damage", "next_number"),
    [(lambda path: spoil_table(path, "inspections"), 4), (spoil_header, 20), (cut_in_half, 20)],
    ids=["a bad page", "no header", "half a file"],
)
def test_a_damaged_file_is_set_aside_at_the_start_and_no_number_is_used_twice(
    open_outbox: Opener,
    make_trigger: MakeTrigger,
    tmp_path: Path,
    damage: Callable[[Path], None],
    next_number: int,
) -> None:
    outbox = open_outbox()
    for _ in range(3):
        kept(outbox, make_trigger(), b"x" * 10_000)
    outbox.close()
    damage(tmp_path / "outbox.sqlite")
    look_at(tmp_path / "outbox.sqlite", STATION)
    later = open_outbox("later")
    assert len(files_set_aside(tmp_path)) == 1
    assert (later.state.rows, later.state.set_aside) == (0, 1)
    row = kept(later, make_trigger())
    assert row.sequence == next_number
    later.close()
    again = open_outbox("again")
    assert again.state.set_aside == 0
    assert [found.inspection_id for found in again.pending()] == [row.inspection_id]


def test_a_file_that_is_not_ours_is_never_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "edge.toml"
    path.write_bytes(b"[broker]\nhost = 'plant'\n" * 100)
    with pytest.raises(MisconfiguredError, match="damaged or no outbox"):
        Outbox(path, STATION, boot_id="b", clock_id="c", budget_bytes=1)
    assert path.read_bytes().startswith(b"[broker]")
    assert files_set_aside(tmp_path) == []


@pytest.mark.parametrize("table", ["journal", "messages", "inspections", "undecided"])
def test_damage_found_while_running_costs_what_the_file_held_and_nothing_more(
    open_outbox: Opener, make_trigger: MakeTrigger, tmp_path: Path, table: str
) -> None:
    outbox = open_outbox()
    lost = kept(outbox, make_trigger("lost"))
    waits = outbox.reserve(make_trigger("waits"))
    spoil_running(tmp_path / "outbox.sqlite", table)
    assert outbox.confirm(lost.inspection_id, NORMAL) is None
    assert len(files_set_aside(tmp_path)) == outbox.state.set_aside == 1
    outbox.append(waits, b"its frame", "frame", stages={})
    assert outbox.message(waits.sequence) == b"its frame"
    assert [row.part_id for row in outbox.pending()] == ["waits"]
    assert outbox.reserve(make_trigger()).sequence == waits.sequence + 1
    assert outbox.confirm(waits.inspection_id, NORMAL) is not None
    assert (outbox.state.rows, outbox.state.bytes) == (1, 0)
    outbox.close()
    assert len(open_outbox("later").pending()) == 1


def test_damage_found_by_a_reader_is_handled_too(
    open_outbox: Opener, make_trigger: MakeTrigger, tmp_path: Path
) -> None:
    outbox = open_outbox()
    lost = kept(outbox, make_trigger("lost"))
    spoil_running(tmp_path / "outbox.sqlite", "inspections")
    assert outbox.row(lost.inspection_id) is None
    assert outbox.state.set_aside == 1
    assert kept(outbox, make_trigger()).sequence == 2


def test_a_message_whose_pages_are_damaged_costs_one_part(
    open_outbox: Opener, make_trigger: MakeTrigger, tmp_path: Path
) -> None:
    outbox = open_outbox()
    row = kept(outbox, make_trigger(), b"x" * 5000)
    other = outbox.reserve(make_trigger())
    outbox.close()
    spoil_table(tmp_path / "outbox.sqlite", "messages")
    outbox = open_outbox("later")
    with pytest.raises(UnreadableError, match="damaged on this disk"):
        outbox.message(row.sequence)
    assert outbox.row(other.inspection_id) is not None
    assert outbox.state.set_aside == 0


def test_threads_that_meet_a_damaged_file_together_all_go_on(
    open_outbox: Opener, make_trigger: MakeTrigger, tmp_path: Path
) -> None:
    outbox = open_outbox()
    for _ in range(20):
        kept(outbox, make_trigger())
    spoil_running(tmp_path / "outbox.sqlite", "inspections")
    numbers: list[int] = []

    def work() -> None:
        for _ in range(10):
            row = kept(outbox, make_trigger())
            numbers.append(row.sequence)
            assert outbox.message(row.sequence) == b"message"
            assert outbox.claim_gate(row.inspection_id, "accept", "verdict")
            assert outbox.row(row.inspection_id) is not None
            assert outbox.confirm(row.inspection_id, NORMAL) is not None

    with ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(work) for _ in range(6)]:
            done.result()
    assert sorted(numbers) == list(range(21, 81))
    assert outbox.state.set_aside == len(files_set_aside(tmp_path)) == 1


def test_of_many_damaged_files_the_newest_three_are_kept(
    open_outbox: Opener, make_trigger: MakeTrigger, tmp_path: Path
) -> None:
    for boot in range(5):
        outbox = open_outbox(str(boot))
        kept(outbox, make_trigger())
        outbox.close()
        spoil_header(tmp_path / "outbox.sqlite")
    open_outbox("last")
    assert len(files_set_aside(tmp_path)) == 3


def delete(path: Path) -> None:
    path.unlink()


def replace(path: Path) -> None:
    shutil.copy(path, path.with_name("copy"))
    path.with_name("copy").rename(path)


def delete_the_log(path: Path) -> None:
    path.with_name(path.name + "-wal").unlink()


@pytest.mark.parametrize("harm", [delete, replace, delete_the_log])
def test_a_file_that_is_deleted_or_replaced_while_running_blocks_every_step(
    open_outbox: Opener, make_trigger: MakeTrigger, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    outbox = open_outbox()
    row, waits = kept(outbox, make_trigger()), outbox.reserve(make_trigger())
    assert outbox.is_in_place
    harm(tmp_path / "outbox.sqlite")
    assert not outbox.is_in_place
    steps: list[Callable[[], object]] = [
        lambda: outbox.reserve(make_trigger()),
        lambda: outbox.append(waits, b"message", "frame", stages={}),
        lambda: outbox.append(waits, b"drop", "drop", stages={}),
        lambda: outbox.claim_gate(row.inspection_id, "reject", "deadline"),
        lambda: outbox.confirm(row.inspection_id, NORMAL),
    ]
    for step in steps:
        with pytest.raises(UnavailableError, match="deleted or replaced while the edge node runs; restart it"):
            step()
    assert (tmp_path / "outbox.sqlite").exists() == (harm is not delete)


def test_a_file_that_comes_back_is_used_again(open_outbox: Opener, make_trigger: MakeTrigger, tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite"
    outbox = open_outbox()
    row = kept(outbox, make_trigger())
    path.rename(tmp_path / "elsewhere")
    with pytest.raises(UnavailableError):
        outbox.claim_gate(row.inspection_id, "reject", "deadline")
    (tmp_path / "elsewhere").rename(path)
    assert outbox.is_in_place
    assert outbox.claim_gate(row.inspection_id, "reject", "deadline")
    assert outbox.confirm(row.inspection_id, NORMAL) is not None
    assert [line.gate_action for line in read_journal(path)] == ["reject"]
