"""Several workers take up a new artifact one after another; a part may reach the one that has not yet. Pure."""

from collections.abc import Callable

_REMEMBERED = 1024


class ArtifactWait:
    """How long a part that names an unknown artifact is left unanswered, so that its edge node sends it again.

    An answer would be final: its edge node lets go of a part that is called unreadable.

    Args:
        seconds: From the first part that names an artifact.
        clock: Monotonic seconds.
    """

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds, self._clock = seconds, clock
        self._first: dict[str, float] = {}

    def waits_for(self, fingerprint: str) -> bool:
        """Whether an artifact may still be on its way here."""
        now = self._clock()
        if fingerprint not in self._first and len(self._first) >= _REMEMBERED:
            del self._first[next(iter(self._first))]
        return now - self._first.setdefault(fingerprint, now) < self._seconds
