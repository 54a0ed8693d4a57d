"""Which loops of a program are at work, on what for how long: a loop that hangs looks alive from outside."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

STUCK_SECONDS = 60.0
"""Nothing a loop does at once takes this long: a picture, a micro-batch, a send, a move of the gate."""


class Watchdog:
    """Notes the beginning and the end of each task of each loop; all methods may be called from any thread.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._since: dict[str, float] = {}

    @contextmanager
    def working(self, loop: str) -> Iterator[None]:
        """Within the block, the loop is at one task."""
        self.beat(loop)
        try:
            yield
        finally:
            with self._lock:
                self._since.pop(loop, None)

    def beat(self, loop: str) -> None:
        """A task that may take for ever, like waiting for a database, is still being tried."""
        with self._lock:
            self._since[loop] = self._clock()

    def stuck(self) -> list[str]:
        """A sentence for each loop that has been at one task for longer than `STUCK_SECONDS`."""
        now = self._clock()
        with self._lock:
            busy = {loop: now - since for loop, since in self._since.items()}
        return [
            f"the {loop} has been at one task for {seconds:.0f} s"
            for loop, seconds in sorted(busy.items())
            if seconds > STUCK_SECONDS
        ]
