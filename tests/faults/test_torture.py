"""Real lines under real faults, at seeded moments: every part gets its one verdict or its stated drop, and no two."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.rigs.torture.fault import Fault
from tests.rigs.torture.faults import FAULTS
from tests.rigs.torture.ground import STATION, Ground
from tests.rigs.torture.needs import Needs
from tests.rigs.torture.places import RealDisk, why_no_disks
from tests.rigs.torture.rig import Rig
from tests.rigs.torture.rounds import rounds_of

pytestmark = [pytest.mark.broker, pytest.mark.slow]

FAST = {"F01": 1, "F05": 3, "F06": 4, "F07": 5, "F08k": 6, "F15": 7, "K146": 8}
"""Fault -> seed. All of them, again and again: make torture."""


@pytest.mark.parametrize(("number", "seed"), FAST.items(), ids=FAST)
def test_nothing_is_lost_and_nothing_is_judged_twice(ground: Ground, number: str, seed: int) -> None:
    fault = FAULTS[number]
    if reason := fault.why_not():
        pytest.skip(f"{fault.name}: {reason}")
    (played,) = rounds_of(number, fault, ground, count=1, seed=seed)
    assert played.violations == ()
    assert played.lost == played.duplicated == 0
    assert played.produced == played.judged + sum(played.dropped.values()) >= fault.parts


def test_every_fault_of_the_list_is_there() -> None:
    assert {f"F{number:02d}" for number in range(1, 31)} <= FAULTS.keys()
    names = [fault.name for fault in FAULTS.values()]
    assert len(set(names)) == len(names)


def _forget_a_part_and_move_a_gate_twice(rig: Rig, rng: Random) -> None:
    """The ledger has one part more than ever was, and the gate's own paper one movement."""
    rig.deal(1)
    rig.until(rig.moved)
    with (rig.folder / "moved.txt").open("a") as paper:
        paper.write(f"{rig.moved()[0]} part reject verdict\n")


def _judge_a_part_twice(rig: Rig, rng: Random) -> None:
    """A part that was judged stands before the camera again, under another inspection."""
    rig.finish()
    rig.boot_edge([*rig.ledger[:1], *rig.deal(1)])


@pytest.mark.parametrize(
    ("strike", "sentences"),
    [
        (_forget_a_part_and_move_a_gate_twice, ["have no verdict", "gate moved more than once"]),
        (_judge_a_part_twice, ["was inspected 2 times"]),
    ],
    ids=["lost and moved twice", "judged twice"],
)
def test_the_books_notice(ground: Ground, strike: Callable[[Rig, Random], None], sentences: list[str]) -> None:
    fault = Fault(name="a broken promise", how="by hand", strike=strike, parts=4)
    (played,) = rounds_of("none", fault, ground, count=1, seed=0)
    for sentence in sentences:
        assert any(sentence in each for each in played.violations), played.violations
    assert played.lost + played.duplicated >= len(sentences)


@contextmanager
def _disk(folder: Any) -> Iterator[RealDisk]:
    if reason := why_no_disks():
        pytest.skip(reason)
    with RealDisk(folder) as disk:
        yield disk


def test_a_power_cut_takes_what_was_not_flushed_and_nothing_else(tmp_path: Path) -> None:
    with _disk(tmp_path / "disk") as disk:
        kept, lost = disk.folder / "kept", disk.folder / "lost"
        for path in (kept, lost):
            path.write_bytes(b"before")
            with path.open("rb") as file:
                os.fsync(file.fileno())
        folder = os.open(disk.folder, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
        lost.write_bytes(b"after, and never flushed")
        disk.cut_power()
        assert kept.read_bytes() == b"before"
        assert lost.read_bytes() != b"after, and never flushed"


def test_a_disk_that_breaks_takes_nothing_more_and_has_what_it_had(tmp_path: Path) -> None:
    with _disk(tmp_path / "disk") as disk:
        (disk.folder / "old").write_bytes(b"old")
        disk.break_down()
        with pytest.raises(OSError, match=r"Read-only|Input/output"):
            (disk.folder / "new").write_bytes(b"new")
        disk.repair()
        assert not (disk.folder / "new").exists()


def test_a_line_that_does_not_start_is_a_violation_and_not_a_success(ground: Ground) -> None:
    fault = Fault(
        name="no broker", how="a configuration nobody can read", strike=_judge_a_part_twice,
        needs=Needs(broker_lines=("listener none",)),
    )  # fmt: skip
    (played,) = rounds_of("none", fault, ground, count=1, seed=0)
    assert "the line itself failed" in played.violations[0]
    assert str(STATION) == "torture/line/one"
