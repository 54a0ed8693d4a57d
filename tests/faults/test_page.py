"""The page on faults shows what was measured, and names every fault."""

import pytest

from tests.rigs.torture.fault import Round
from tests.rigs.torture.faults import FAULTS
from tests.rigs.torture.page import PAGE, RESULTS, filled
from tests.rigs.torture.table import markdown, read, row_of


def test_the_page_shows_the_figures_of_the_results() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert filled(page, markdown(read(RESULTS))) == page


def test_nothing_was_lost_and_nothing_judged_twice_in_them() -> None:
    rows = {row.fault: row for row in read(RESULTS)}
    assert {row.fault for row in rows.values() if row.lost or row.duplicated or row.violations} == set()
    assert set(rows) <= set(FAULTS)
    assert {f"F{number:02d}" for number in range(1, 31)} <= set(rows)
    for row in rows.values():
        assert row.produced == row.judged + sum(row.dropped.values())


def test_rounds_are_added_up() -> None:
    rounds = [
        Round(fault="F01", seed=0, produced=20, judged=19, dropped={"interrupted": 1}, recover_seconds=1.0),
        Round(fault="F01", seed=1, produced=20, judged=20, recover_seconds=3.0, violations=("a gap",), lost=1),
    ]
    row = row_of("F01", rounds)
    assert (row.rounds, row.produced, row.judged, row.lost) == (2, 40, 39, 1)
    assert row.dropped == {"interrupted": 1}
    assert row.recover_seconds == pytest.approx({"p50": 2.0, "max": 3.0})
    assert row.violations == ("seed 1: a gap",)
    assert "| 2 | 40 | 39 | 1 interrupted | 1 | 0 | 2.0 / 3.0 |" in markdown([row])
