"""A gate is claimed once per part, and each failure of a claim leaves the part to its default.

What fails safe: a claim is refused only when one is recorded already. A disk that does not take it raises, and the
claim stays open. What fails open: a process that dies between a claim and the gate's movement does not move it later,
for it may have moved.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from edge_node.outbox.journal import read_journal
from edge_node.outbox.outbox import Outbox
from edge_node.outbox.rows import Closing, Trigger
from patchline.wire.errors import UnavailableError
from tests.edge_node.outbox.damage import spoil_running

Opener = Callable[..., Outbox]
MakeTrigger = Callable[..., Trigger]
DROPPED = Closing(outcome="dropped", reason="outbox_full")


@pytest.mark.parametrize("journal_lines", [0, 1, 1000])
def test_a_part_closed_as_a_drop_gets_its_default_once_however_little_history_is_kept(
    open_outbox: Opener, make_trigger: MakeTrigger, journal_lines: int
) -> None:
    outbox = open_outbox(journal_lines=journal_lines)
    parts = [outbox.reserve(make_trigger()) for _ in range(5)]
    for row in parts:
        outbox.append(row, b"drop", "drop", stages={})
        assert outbox.confirm(row.inspection_id, DROPPED) is not None
    assert [outbox.claim_gate(row.inspection_id, "reject", "deadline") for row in parts] == [True] * 5
    assert [outbox.claim_gate(row.inspection_id, "reject", "deadline") for row in parts] == [False] * 5


@pytest.mark.parametrize("journal_lines", [0, 1000])
def test_a_part_whose_verdict_moved_the_gate_gets_no_default(
    open_outbox: Opener, make_trigger: MakeTrigger, journal_lines: int
) -> None:
    outbox = open_outbox(journal_lines=journal_lines)
    row = outbox.reserve(make_trigger())
    outbox.confirm(row.inspection_id, Closing(outcome="normal").moving("accept", "verdict"))
    assert not outbox.claim_gate(row.inspection_id, "reject", "deadline")


@pytest.mark.parametrize("journal_lines", [0, 1000])
def test_a_boot_that_died_before_the_deadline_leaves_missed_gates(
    open_outbox: Opener, make_trigger: MakeTrigger, tmp_path: Path, journal_lines: int
) -> None:
    outbox = open_outbox(journal_lines=journal_lines)
    rows = [outbox.reserve(make_trigger()) for _ in range(3)]
    for row in rows:
        outbox.confirm(row.inspection_id, DROPPED)
    assert outbox.claim_gate(rows[0].inspection_id, "reject", "deadline")
    outbox.close()
    later = open_outbox("later", journal_lines=journal_lines)
    assert later.miss_gates() == 2
    assert later.miss_gates() == 0
    assert not any(later.claim_gate(row.inspection_id, "reject", "deadline") for row in rows)
    told = [line.gate_grounds for line in read_journal(tmp_path / "outbox.sqlite")]
    assert told == (["deadline", "missed", "missed"] if journal_lines else [])


def test_a_claim_of_an_open_part_survives_a_restart(open_outbox: Opener, make_trigger: MakeTrigger) -> None:
    outbox = open_outbox()
    row = outbox.reserve(make_trigger())
    assert outbox.claim_gate(row.inspection_id, "reject", "deadline")
    outbox.close()
    later = open_outbox("later")
    assert [found.gate_grounds for found in later.pending()] == ["deadline"]
    assert not later.claim_gate(row.inspection_id, "accept", "verdict")


def test_a_claim_that_cannot_be_written_raises_and_stays_open(
    open_outbox: Opener, make_trigger: MakeTrigger, tmp_path: Path
) -> None:
    outbox = open_outbox()
    row, closed = outbox.reserve(make_trigger()), outbox.reserve(make_trigger())
    outbox.confirm(closed.inspection_id, DROPPED)
    (tmp_path / "outbox.sqlite").rename(tmp_path / "away")
    for part in (row, closed):
        with pytest.raises(UnavailableError):
            outbox.claim_gate(part.inspection_id, "reject", "deadline")
    (tmp_path / "away").rename(tmp_path / "outbox.sqlite")
    for part in (row, closed):
        assert outbox.claim_gate(part.inspection_id, "reject", "deadline")
        assert not outbox.claim_gate(part.inspection_id, "reject", "deadline")


def test_a_part_lost_with_a_damaged_file_still_gets_its_default_once(
    open_outbox: Opener, make_trigger: MakeTrigger, tmp_path: Path
) -> None:
    outbox = open_outbox()
    told, lost, closed = (outbox.reserve(make_trigger()) for _ in range(3))
    assert outbox.claim_gate(told.inspection_id, "reject", "deadline")
    outbox.confirm(closed.inspection_id, DROPPED)
    spoil_running(tmp_path / "outbox.sqlite", "inspections")
    assert outbox.claim_gate(lost.inspection_id, "reject", "deadline")
    assert outbox.claim_gate(closed.inspection_id, "reject", "deadline")
    for part in (told, lost, closed):
        assert not outbox.claim_gate(part.inspection_id, "reject", "deadline")
    assert outbox.state.set_aside == 1


def test_a_part_that_was_never_ours_is_not_claimed(open_outbox: Opener) -> None:
    assert not open_outbox().claim_gate("00000000-0000-0000-0000-000000000000", "reject", "deadline")
