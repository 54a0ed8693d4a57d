"""The broom: records and dead letters go when they are older than anybody will ask for."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

from wire_contract.errors import UnavailableError

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 600.0


class Forgetful(Protocol):
    """Records that can let go."""

    def forget(self, *, older_than: float) -> int:
        """Delete every record made before a time; returns how many are gone."""

    def bound_dead_letters(self, keep: int) -> int:
        """Delete the oldest unreadable messages beyond a number of them; returns how many are gone."""


def sweep_until(
    stopped: threading.Event,
    records: Forgetful,
    *,
    keep_seconds: float,
    max_dead_letters: int,
    remove_older: Callable[[], int],
    interval_seconds: float = INTERVAL_SECONDS,
    wall: Callable[[], float] = time.time,
) -> None:
    """Delete what is too old, at once and then at every interval, until told to stop.

    Args:
        stopped: Ends it.
        records: Swept.
        keep_seconds: How old records may grow.
        max_dead_letters: How many unreadable messages are kept.
        remove_older: Removes the files of artifacts that were replaced too long ago.
        interval_seconds: From one sweep to the next.
        wall: Seconds since the epoch.
    """
    while True:
        try:
            gone = records.forget(older_than=wall() - keep_seconds) + records.bound_dead_letters(max_dead_letters)
        except UnavailableError as error:
            log.warning("nothing forgotten this time: %s", error)
        else:
            if gone:
                log.debug("forgot %d records", gone)
        remove_older()
        if stopped.wait(interval_seconds):
            return
