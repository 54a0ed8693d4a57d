"""How long to wait before the next attempt, so that ten thousand clients do not return in lock-step."""

import random

FIRST_DELAY_SECONDS = 1.0
LONGEST_DELAY_SECONDS = 30.0


def failures_after(failures: int, lived_seconds: float) -> int:
    """How many failures in a row to count once a connection has ended that lived so long; less than 0 if it never did.

    One that outlived the longest wait that would follow was a real one, and its end is a first failure. One that ended
    sooner, thrown out by a twin with our client id say, backs off like an attempt that failed.
    """
    return 1 if lived_seconds > _bound_seconds(failures) else failures + 1


def full_jitter(failures: int, rng: random.Random) -> float:
    """Seconds to wait after so many failures in a row: uniform below a bound that doubles up to the longest delay.

    Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015 ("full jitter").
    """
    return rng.uniform(0.0, _bound_seconds(failures))


def _bound_seconds(failures: int) -> float:
    return min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2.0 ** min(failures, 16))
