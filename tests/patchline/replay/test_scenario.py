from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchline.replay.scenario import Kill, Timetable
from patchline.wire.errors import MisconfiguredError


@pytest.mark.parametrize("victim", ["analytics", "broker"])
def test_a_kill_names_its_victim_and_its_time(victim: Any) -> None:
    kill = Kill.parse(f"{victim}@2.5")
    assert (kill.victim, kill.at_seconds) == (victim, 2.5)


@pytest.mark.parametrize("text", ["analytics", "edge@3", "broker@", "broker@-1", "broker@soon", "broker@1 "])
def test_anything_else_is_refused_with_the_remedy(text: Any) -> None:
    with pytest.raises(MisconfiguredError, match="analytics@SECONDS"):
        Kill.parse(text)


class Recorder:
    def __init__(self, name: Any, log: Any) -> None:
        self._name, self._log = name, log

    def kill(self) -> None:
        self._log.append(("kill", self._name))

    def start(self) -> None:
        self._log.append(("start", self._name))


@given(st.lists(st.floats(0, 20), min_size=1, max_size=60))
def test_everything_happens_once_and_in_order_however_often_the_clock_is_read(moments: Any) -> None:
    log: list[tuple[str, str]] = []
    kills = [Kill(victim="analytics", at_seconds=5), Kill(victim="broker", at_seconds=5.5, down_seconds=3)]
    table = Timetable(kills, {"analytics": Recorder("a", log), "broker": Recorder("b", log)})
    for moment in sorted(moments):
        table.advance(moment)
    table.advance(100)
    assert log == [("kill", "a"), ("kill", "b"), ("start", "a"), ("start", "b")]
    assert table.over
    assert len(table.news) == 4


def test_nothing_happens_before_its_time() -> None:
    log: list[tuple[str, str]] = []
    table = Timetable([Kill(victim="broker", at_seconds=5)], {"broker": Recorder("b", log)})
    table.advance(4.9)
    assert log == []
    assert not table.over
