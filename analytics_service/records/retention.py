"""Retention: deletes records and dead letters that are older than the configured age, at every interval."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

from patchline.runtime.loops import run_loop
from patchline.runtime.watchdog import Watchdog

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 600.0
LARGEST_STEP_SECONDS = 3600.0
"""How far the clock may be set forward under a running service and still be believed, the change to summer included."""


class Forgetful(Protocol):
    """Records that can let go."""

    def forget(self, *, older_than: float) -> int:
        """Delete every record made before a time; returns how many are gone."""

    def bound_dead_letters(self, keep: int) -> int:
        """Delete the oldest unreadable messages beyond a number of them; returns how many are gone."""


def sweep_until(
    stopped: threading.Event,
    records: Forgetful,
    watchdog: Watchdog,
    *,
    keep_seconds: float,
    max_dead_letters: int,
    remove_older: Callable[[float], int],
    interval_seconds: float = INTERVAL_SECONDS,
    wall: Callable[[], float] = time.time,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Delete what is too old, at once and then at every interval, until stopped.

    A clock that leaps forward makes everything old in one step, and a part whose record is gone would be judged a
    second time. So time passes here no faster than the monotonic clock says, until the service is started again.

    Args:
        stopped: Ends it.
        records: Swept.
        watchdog: Told of each sweep.
        keep_seconds: How old records may grow.
        max_dead_letters: How many unreadable messages are kept.
        remove_older: Removes the files of artifacts that were replaced too long ago, given what time it is.
        interval_seconds: From one sweep to the next.
        wall: Seconds since the epoch.
        clock: Monotonic seconds.
    """
    started = wall() - clock()

    def sweep() -> None:
        now = _believed(wall(), started + clock())
        remove_older(now)
        gone = records.forget(older_than=now - keep_seconds) + records.bound_dead_letters(max_dead_letters)
        if gone:
            log.debug("forgot %d records", gone)

    run_loop("retention", sweep, stopped, watchdog=watchdog, every_seconds=interval_seconds)


def _believed(told: float, passed: float) -> float:
    """What time it is, for forgetting: what the clock says, unless it leapt ahead of the time that has passed."""
    if told <= passed + LARGEST_STEP_SECONDS:
        return told
    log.warning(
        "the clock was set forward by %.0f s: nothing is forgotten on its word alone; start the service again if it "
        "is right now",
        told - passed,
    )
    return passed
