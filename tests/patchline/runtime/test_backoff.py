import random

import pytest

from patchline.runtime.backoff import LONGEST_DELAY_SECONDS, failures_after, full_jitter


@pytest.mark.parametrize(
    ("failures", "bound"), [(0, 1.0), (1, 2.0), (3, 8.0), (5, LONGEST_DELAY_SECONDS), (10_000, 30.0)]
)
def test_a_delay_lies_anywhere_below_a_bound_that_doubles_up_to_the_longest(failures: int, bound: float) -> None:
    rng = random.Random(1)
    delays = [full_jitter(failures, rng) for _ in range(2000)]
    assert 0.0 <= min(delays) < 0.05 * bound
    assert 0.95 * bound < max(delays) <= bound


def test_two_clients_do_not_return_in_lock_step() -> None:
    first, second = random.Random(1), random.Random(2)
    assert all(full_jitter(n, first) != full_jitter(n, second) for n in range(20))


@pytest.mark.parametrize(
    ("failures", "lived_seconds", "after"),
    [(0, -float("inf"), 1), (3, -float("inf"), 4), (0, 0.5, 1), (4, 10.0, 5), (4, 17.0, 1), (40, 31.0, 1)],
)
def test_a_connection_that_outlived_the_wait_to_come_is_forgiven_those_before(
    failures: int, lived_seconds: float, after: int
) -> None:
    assert failures_after(failures, lived_seconds) == after
