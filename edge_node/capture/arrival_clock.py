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
_GRACE_SECONDS = 0.2
"""Messages that waited follow each other within this time, from the end of the stall or absence on."""
_LONGEST_GRACE_SECONDS = 10.0


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
        """The last time during which messages waited: its beginning, and until when they are expected."""
        self._unfinished = 0
        """Messages that waited and are not dealt with: the broker sends more of them after these."""
        self._last_end = -math.inf

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
                self._absent_since, self._unfinished = self._clock(), 0

    def connected(self, *, session_kept: bool) -> None:
        """Messages come again; those that waited come first, where the broker kept the session."""
        with self._lock:
            now = self._clock()
            if session_kept and self._absent_since is not None:
                self._begin(self._absent_since, now)
            self._absent_since = None

    def dated(self, received_at: float) -> float:
        """The earliest time at which a message can have arrived that was read at a time of the monotonic clock.

        Where it is earlier than that time, the caller calls `dealt_with` when it has dealt with the message.
        """
        with self._lock:
            self._look(self._clock())
            if self._absent_since is not None:
                earliest = min(received_at, self._absent_since)
            else:
                begin, end = self._gap
                is_expected = received_at <= end or (self._unfinished > 0 and received_at <= self._last_end)
                earliest = begin if begin < received_at and is_expected else received_at
            self._unfinished += earliest < received_at
            return earliest

    def dealt_with(self) -> None:
        """A message that waited is dealt with; the broker may send the next one that waited."""
        with self._lock:
            self._unfinished = max(0, self._unfinished - 1)
            begin, end = self._gap
            self._gap = (begin, max(end, min(self._clock() + _GRACE_SECONDS, self._last_end)))

    def _begin(self, since: float, now: float) -> None:
        self._gap = (since, now + _GRACE_SECONDS)
        self._last_end = now + _LONGEST_GRACE_SECONDS

    def _look(self, now: float) -> None:
        if now - self._beat > _STALL_SECONDS:
            _log.warning("this process stood still for %.1f s; triggers of that time are dated back", now - self._beat)
            self._begin(min(self._beat, self._gap[0] if self._gap[1] > self._beat else math.inf), now)
        self._beat = now
