"""When a message can have arrived at the earliest, where this process or its connection was not there to see it."""

import logging
import math
import threading
import time
from collections.abc import Callable

_log = logging.getLogger(__name__)

_BEAT_SECONDS = 0.05
_STALL_SECONDS = 0.3
"""A longer time between two beats is a stall: the process was stopped, or had no processor."""
_GRACE_SECONDS = 0.5
"""How long after a stall or a reconnection messages that waited are still being read."""


class ArrivalClock:
    """Dates messages. Messages that waited during a stall or an absence are as old as its beginning.

    Args:
        unseen_seconds: How much older than this process is a message that waited for it at the broker.
        clock: Monotonic seconds.
    """

    def __init__(self, unseen_seconds: float = 0.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._beat = clock()
        self._absent_since: float | None = self._beat - unseen_seconds
        self._gap = (math.inf, -math.inf)
        """The last time during which messages waited: its beginning, and until when they were read."""

    def run(self, stop: threading.Event) -> None:
        """Beat until stopped."""
        while not stop.wait(_BEAT_SECONDS):
            self.beat()

    def beat(self) -> None:
        """Note that the process runs."""
        with self._lock:
            self._look(self._clock())

    def disconnected(self) -> None:
        """Messages wait at the broker from now on."""
        with self._lock:
            if self._absent_since is None:
                self._absent_since = self._clock()

    def connected(self, *, session_kept: bool) -> None:
        """Messages come again; those that waited come first, where the broker kept the session."""
        with self._lock:
            now = self._clock()
            if session_kept and self._absent_since is not None:
                self._gap = (self._absent_since, now + _GRACE_SECONDS)
            self._absent_since = None

    def dated(self, received_at: float) -> float:
        """The earliest time at which a message can have arrived that was read at a time of the monotonic clock."""
        with self._lock:
            self._look(self._clock())
            if self._absent_since is not None:
                return min(received_at, self._absent_since)
            begin, end = self._gap
            return begin if begin < received_at <= end else received_at

    def _look(self, now: float) -> None:
        if now - self._beat > _STALL_SECONDS:
            _log.warning("this process stood still for %.1f s; triggers of that time are dated back", now - self._beat)
            self._gap = (min(self._beat, self._gap[0] if self._gap[1] > self._beat else math.inf), now + _GRACE_SECONDS)
        self._beat = now
