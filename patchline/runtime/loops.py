"""The one policy for loops: `UnavailableError` is logged once and tried again; any other exception ends the program."""

import logging
import random
import threading
from collections.abc import Callable
from typing import TypeVar

from patchline.runtime.backoff import Backoff
from patchline.runtime.watchdog import Watchdog
from patchline.wire.errors import UnavailableError

_log = logging.getLogger(__name__)

T = TypeVar("T")

BACKOFF = Backoff(first_seconds=0.25, longest_seconds=10.0)
_BEAT_SECONDS = 20.0
"""A long wait is cut into waits of this length, so that the watchdog hears of the loop."""
_jitter = random.Random()  # noqa: S311 - spreads attempts in time, guards nothing


class Failures:
    """Counts failures in a row of one task, and logs the first one and the recovery.

    Args:
        name: The task, as the log names it.
    """

    def __init__(self, name: str, backoff: Backoff = BACKOFF) -> None:
        self._name, self._backoff, self._count = name, backoff, 0

    def failed(self, error: UnavailableError) -> float:
        """Note a failure; the seconds to wait before the next attempt."""
        _log.log(logging.DEBUG if self._count else logging.WARNING, "%s has to wait: %s", self._name, error)
        self._count += 1
        return self._backoff.seconds(self._count - 1, _jitter)

    def succeeded(self) -> None:
        """Note a success."""
        if self._count:
            _log.info("%s goes on after %d failed attempts", self._name, self._count)
        self._count = 0


def run_loop(
    name: str,
    step: Callable[[], object],
    stop: threading.Event,
    *,
    watchdog: Watchdog,
    every_seconds: float = 0.0,
    backoff: Backoff = BACKOFF,
) -> None:
    """Repeat a step until stopped.

    A step that raises `UnavailableError` is repeated after a wait. Any other exception is raised, so the thread ends,
    and its `ThreadGroup` ends the program.

    Args:
        name: The loop, as the log and the watchdog name it.
        step: Does one task, or waits at most a few seconds for one.
        stop: Ends the loop.
        watchdog: Notes when a step begins and ends.
        every_seconds: The wait after a step that succeeded.
        backoff: The waits after steps that failed.
    """
    failures = Failures(name, backoff)
    while not stop.is_set():
        try:
            with watchdog.working(name):
                step()
        except UnavailableError as error:
            stop.wait(failures.failed(error))
        else:
            failures.succeeded()
            if every_seconds:
                stop.wait(every_seconds)


def until_available(
    name: str,
    work: Callable[[], T],
    stop: threading.Event,
    *,
    watchdog: Watchdog | None = None,
    backoff: Backoff = BACKOFF,
) -> T:
    """Do a work, again after a wait whenever it raises `UnavailableError`, within one step of a loop.

    Args:
        name: The work, as the log names it; where there is a watchdog, the name of the loop it belongs to.
        work: Returns, or raises `UnavailableError` and may be called again.
        stop: Ends the attempts.
        watchdog: Told of each attempt: a loop that waits for a database is not stuck.
        backoff: The waits after failures.

    Raises:
        UnavailableError: Of the last attempt, once stopped.
    """
    failures = Failures(name, backoff)
    while True:
        try:
            result = work()
        except UnavailableError as error:
            if watchdog is not None:
                watchdog.beat(name)
            if stop.wait(min(failures.failed(error), _BEAT_SECONDS)):
                raise
        else:
            failures.succeeded()
            return result
