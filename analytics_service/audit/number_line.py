"""Which of a station's numbers are on record, as runs without holes; pure, the clocks come in as numbers."""

from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Gap:
    """Numbers that are not on record between two that are.

    Attributes:
        first: The lowest missing number.
        last: The highest missing number.
        since: When the number after the gap was decided, seconds since the epoch: the gap is at least that old.
    """

    first: int
    last: int
    since: float

    @property
    def parts(self) -> int:
        """How many numbers are missing."""
        return self.last - self.first + 1


@dataclass(slots=True)
class _Run:
    first: int
    last: int
    since: float


class NumberLine:
    """The numbers of one station; takes as much memory as there are gaps, not as there are numbers."""

    def __init__(self) -> None:
        self._runs: list[_Run] = []

    def add(self, number: int, at: float) -> None:
        """A number is on record, decided at a time; in any order, and again as often as you like."""
        place = bisect_right(self._runs, number, key=lambda run: run.first)
        before = self._runs[place - 1] if place else None
        after = self._runs[place] if place < len(self._runs) else None
        if before is not None and number <= before.last:
            return
        follows = before is not None and number == before.last + 1
        precedes = after is not None and number == after.first - 1
        if before is not None and after is not None and follows and precedes:
            before.last = after.last
            del self._runs[place]
        elif before is not None and follows:
            before.last = number
        elif after is not None and precedes:
            after.first, after.since = number, at
        else:
            self._runs.insert(place, _Run(number, number, at))

    def gaps(self, *, above: int = 0) -> list[Gap]:
        """What is missing between the lowest and the highest number, as far as it is above a number."""
        found = []
        for lower, upper in pairwise(self._runs):
            first, last = max(lower.last + 1, above + 1), upper.first - 1
            if first <= last:
                found.append(Gap(first, last, upper.since))
        return found

    @property
    def first(self) -> int | None:
        """The lowest number on record."""
        return self._runs[0].first if self._runs else None

    @property
    def last(self) -> int | None:
        """The highest number on record."""
        return self._runs[-1].last if self._runs else None

    def __contains__(self, number: int) -> bool:
        place = bisect_right(self._runs, number, key=lambda run: run.first)
        return place > 0 and number <= self._runs[place - 1].last
