"""How often copies of one message are answered: a loop between bridged brokers must not become a storm of verdicts."""

import time
from collections.abc import Callable

WINDOW_SECONDS = 10.0
ANSWERS = 20
"""Answers about one part in a window. An edge node asks again after seconds, so it stays far below."""
REMEMBERED = 4096
"""Parts that are followed; the oldest give way."""


class AnswerLimit:
    """Counts answers by part, in windows that begin with a part's first answer.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._windows: dict[str, tuple[float, int]] = {}

    def count(self, inspection_id: str) -> int:
        """How many answers about a part there were in its window, this one included."""
        now = self._clock()
        began, answers = self._windows.pop(inspection_id, (now, 0))
        if now - began >= WINDOW_SECONDS:
            began, answers = now, 0
        while len(self._windows) >= REMEMBERED:
            del self._windows[next(iter(self._windows))]
        self._windows[inspection_id] = (began, answers + 1)
        return answers + 1
