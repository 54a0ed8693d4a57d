"""A loop that hangs is told from one that is idle."""

from patchline.runtime.watchdog import Watchdog


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_loop_is_stuck_only_while_it_is_at_one_task_for_too_long() -> None:
    clock = Clock()
    watchdog = Watchdog(clock)
    with watchdog.working("worker"):
        clock.now += 59
        assert watchdog.stuck() == []
        clock.now += 2
        assert watchdog.stuck() == ["the worker has been at one task for 61 s"]
    assert watchdog.stuck() == []


def test_a_loop_that_tries_again_and_again_is_not_stuck() -> None:
    clock = Clock()
    watchdog = Watchdog(clock)
    with watchdog.working("capture"):
        for _ in range(5):
            clock.now += 50
            watchdog.beat("capture")
    clock.now += 1000
    assert watchdog.stuck() == []


def test_an_idle_loop_may_wait_for_ever() -> None:
    clock = Clock()
    watchdog = Watchdog(clock)
    with watchdog.working("inbox"):
        pass
    clock.now += 1e6
    assert watchdog.stuck() == []
