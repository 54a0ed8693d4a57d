"""How long to wait before the next attempt, so that ten thousand clients do not return in lock-step."""

import random

FIRST_DELAY_SECONDS = 1.0
LONGEST_DELAY_SECONDS = 30.0


def full_jitter(failures: int, rng: random.Random) -> float:
    """Seconds to wait after so many failures in a row: uniform below a bound that doubles up to the longest delay.

    Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015 ("full jitter").
    """
    bound = min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2.0 ** min(failures, 16))
    return rng.uniform(0.0, bound)
