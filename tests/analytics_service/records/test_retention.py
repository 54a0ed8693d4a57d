"""Retention deletes at once and at every interval, and an absent database does not end it."""

import threading
from collections.abc import Iterator

import pytest

from analytics_service.records.retention import sweep_until
from patchline.runtime.watchdog import Watchdog
from patchline.wire.errors import UnavailableError


class Swept:
    """Records that note what they were asked to forget."""

    def __init__(self, stopped: threading.Event, rounds: int) -> None:
        self.asked: list[float] = []
        self.kept: list[int] = []
        self._stopped, self._rounds = stopped, rounds

    def forget(self, *, older_than: float) -> int:
        self.asked.append(older_than)
        if len(self.asked) == self._rounds:
            self._stopped.set()
        if len(self.asked) == 1:
            raise UnavailableError("away")
        return 1

    def bound_dead_letters(self, keep: int) -> int:
        self.kept.append(keep)
        return 0


def test_everything_older_than_the_setting_is_swept_until_told_to_stop() -> None:
    stopped = threading.Event()
    swept = Swept(stopped, rounds=3)
    files: list[int] = []

    def remove_older(_: float) -> int:
        files.append(1)
        return 0

    sweep_until(
        stopped,
        swept,
        Watchdog(),
        keep_seconds=100.0,
        max_dead_letters=7,
        remove_older=remove_older,
        interval_seconds=0.001,
        wall=lambda: 1000.0,
    )
    assert len(files) == 3
    assert swept.asked == [900.0, 900.0, 900.0]
    assert swept.kept == [7, 7]


def sweep(wall: Iterator[float], clock: Iterator[float], rounds: int) -> tuple[list[float], list[float]]:
    stopped = threading.Event()
    swept = Swept(stopped, rounds)
    told: list[float] = []

    def remove_older(now: float) -> int:
        told.append(now)
        return 0

    sweep_until(
        stopped,
        swept,
        Watchdog(),
        keep_seconds=100.0,
        max_dead_letters=7,
        remove_older=remove_older,
        interval_seconds=0.001,
        wall=lambda: next(wall),
        clock=lambda: next(clock),
    )
    return swept.asked, told


def test_a_clock_that_leaps_a_year_ahead_makes_nothing_old(caplog: pytest.LogCaptureFixture) -> None:
    """Else every part whose verdict was lost on its way would be judged a second time."""
    year = 365 * 86400.0
    asked, told = sweep(iter([1000.0, 1000.0, 1600.0 + year, 2200.0]), iter([50.0, 50.0, 650.0, 1250.0]), rounds=3)
    assert asked == [900.0, 1500.0, 2100.0]
    assert told == [1000.0, 1600.0, 2200.0]
    assert "the clock was set forward by 31536000 s" in caplog.text


def test_a_clock_that_is_set_right_by_a_little_or_backward_is_followed() -> None:
    asked, _ = sweep(iter([1000.0, 1000.0, 2600.0, 500.0]), iter([50.0, 50.0, 650.0, 1250.0]), rounds=3)
    assert asked == [900.0, 2500.0, 400.0]
