"""How long to wait before the next attempt, so that ten thousand clients do not return at the same moment."""

import random
from dataclasses import dataclass

FIRST_DELAY_SECONDS = 1.0
LONGEST_DELAY_SECONDS = 30.0
_MOST_DOUBLINGS = 16


@dataclass(frozen=True, slots=True)
class Backoff:
    """A random wait below a bound that doubles with each failure in a row.

    Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.

    Attributes:
        first_seconds: The bound after the first failure.
        longest_seconds: The bound does not grow beyond this.
        least_share: The shortest wait, as a share of the bound: 0 is "full jitter", 0.5 "equal jitter".
    """

    first_seconds: float
    longest_seconds: float
    least_share: float = 0.5

    def bound_seconds(self, failures: int) -> float:
        """The longest wait after so many earlier failures in a row."""
        return min(self.longest_seconds, self.first_seconds * 2.0 ** min(failures, _MOST_DOUBLINGS))

    def seconds(self, failures: int, rng: random.Random) -> float:
        """The wait after so many earlier failures in a row."""
        bound = self.bound_seconds(failures)
        return rng.uniform(self.least_share * bound, bound)


_OF_CONNECTIONS = Backoff(FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS, least_share=0.0)


def failures_after(failures: int, lived_seconds: float) -> int:
    """How many failures in a row to count once a connection has ended that lived so long; less than 0 if it never did.

    A connection that lived longer than the longest wait that would follow was a working one: its end is a first
    failure. One that ended sooner, for example because another client has our client id, counts as a failed attempt.
    """
    return 1 if lived_seconds > _OF_CONNECTIONS.bound_seconds(failures) else failures + 1


def full_jitter(failures: int, rng: random.Random) -> float:
    """Seconds to wait before the next connection, after so many earlier failures in a row."""
    return _OF_CONNECTIONS.seconds(failures, rng)
