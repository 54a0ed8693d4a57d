"""A loop outlives whatever passes by itself, and nothing else."""

import logging
import threading

import pytest

from patchline.runtime.backoff import Backoff
from patchline.runtime.loops import run_loop, until_available
from patchline.runtime.watchdog import Watchdog
from patchline.wire.errors import MisconfiguredError, UnavailableError, UnreadableError

AT_ONCE = Backoff(first_seconds=0.0, longest_seconds=0.0)


def test_what_is_away_is_waited_for_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    stop, steps = threading.Event(), list[int]()

    def step() -> None:
        steps.append(1)
        if len(steps) <= 4:
            raise UnavailableError("disk full")
        stop.set()

    with caplog.at_level(logging.INFO):
        run_loop("sender", step, stop, watchdog=Watchdog(), backoff=AT_ONCE)
    assert len(steps) == 5
    assert [record.message for record in caplog.records] == [
        "sender has to wait: disk full",
        "sender goes on after 4 failed attempts",
    ]


@pytest.mark.parametrize("bug", [ZeroDivisionError(), MisconfiguredError("wrong"), UnreadableError("wrong")])
def test_any_other_exception_ends_the_loop(bug: Exception) -> None:
    def step() -> None:
        raise bug

    with pytest.raises(type(bug)):
        run_loop("sender", step, threading.Event(), watchdog=Watchdog())


def test_the_watchdog_sees_a_step_that_hangs_and_not_a_loop_that_waits() -> None:
    now, stop = [0.0], threading.Event()
    watchdog = Watchdog(lambda: now[0])
    seen: list[list[str]] = []

    def step() -> None:
        now[0] += 61.0
        seen.append(watchdog.stuck())
        stop.set()

    run_loop("sender", step, stop, watchdog=watchdog)
    now[0] += 61.0
    assert seen == [["the sender has been at one task for 61 s"]]
    assert watchdog.stuck() == []


def test_a_work_is_done_again_until_it_succeeds() -> None:
    failures = [UnavailableError("away")] * 3

    def work() -> str:
        if failures:
            raise failures.pop()
        return "done"

    assert until_available("database", work, threading.Event(), watchdog=Watchdog(), backoff=AT_ONCE) == "done"


def test_a_work_that_cannot_be_done_is_left_once_stopped() -> None:
    stop = threading.Event()

    def work() -> None:
        stop.set()
        raise UnavailableError("away")

    with pytest.raises(UnavailableError):
        until_available("database", work, stop)


def test_waits_double_up_to_the_longest_and_are_never_shorter_than_their_share() -> None:
    backoff = Backoff(first_seconds=1.0, longest_seconds=8.0, least_share=0.5)
    assert [backoff.bound_seconds(failures) for failures in range(6)] == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
