"""Triggers by the clock."""

import threading
import time
from collections.abc import Callable, Iterator
from uuid import uuid4

from edge_node.capture.sources.protocol import Arrival
from edge_node.outbox.rows import Trigger


def trigger_now(part_id: str | None = None) -> Trigger:
    """A trigger that arrives at this moment."""
    return Trigger(
        inspection_id=str(uuid4()), part_id=part_id, captured_at=time.time(), captured_monotonic=time.monotonic()
    )


class Takt:
    """A part every `seconds`, on a schedule that does not drift; 0 means as fast as parts are taken.

    Triggers that were due while the program did not look are counted and not made up for: their parts have gone by.

    Args:
        seconds: From one part to the next.
        stop: Ends the triggers when set.
        delay_seconds: Before the first part, so that stations of one line need not fire together.
        on_missed: Told how many triggers were due and did not come.
    """

    def __init__(
        self,
        seconds: float,
        stop: threading.Event,
        *,
        delay_seconds: float = 0.0,
        on_missed: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._seconds, self._stop, self._delay_seconds, self._on_missed = seconds, stop, delay_seconds, on_missed
        self._due = 0.0

    def rest(self) -> None:
        """Skip the triggers that were due until now, because the station was paused."""
        self._due = max(self._due, time.monotonic())

    def __iter__(self) -> Iterator[Arrival]:
        """One trigger a takt."""
        self._due = time.monotonic() + self._delay_seconds
        while not self._stop.wait(max(0.0, self._due - time.monotonic())):
            late = time.monotonic() - self._due
            if self._seconds and late >= self._seconds:
                self._on_missed(int(late / self._seconds))
                self._due += int(late / self._seconds) * self._seconds
            self._due += self._seconds
            yield Arrival(trigger_now())
            if not self._seconds:
                self._due = time.monotonic()
