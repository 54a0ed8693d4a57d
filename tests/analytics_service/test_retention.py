"""The broom sweeps at once and at every interval, and an absent database does not end it."""

import threading

from analytics_service.retention import sweep_until
from wire_contract.errors import UnavailableError


class Swept:
    """Records that note what they were asked to forget."""

    def __init__(self, stopped: threading.Event, rounds: int) -> None:
        self.asked: list[float] = []
        self.kept: list[int] = []
        self._stopped, self._rounds = stopped, rounds

    def forget(self, *, older_than: float) -> int:
        self.asked.append(older_than)
        if len(self.asked) == self._rounds:
            self._stopped.set()
        if len(self.asked) == 1:
            raise UnavailableError("away")
        return 1

    def bound_dead_letters(self, keep: int) -> int:
        self.kept.append(keep)
        return 0


def test_everything_older_than_the_setting_is_swept_until_told_to_stop() -> None:
    stopped = threading.Event()
    swept = Swept(stopped, rounds=3)
    files: list[int] = []
    sweep_until(
        stopped,
        swept,
        keep_seconds=100.0,
        max_dead_letters=7,
        remove_older=lambda: files.append(1) or 0,
        interval_seconds=0.001,
        wall=lambda: 1000.0,
    )
    assert len(files) == 3
    assert swept.asked == [900.0, 900.0, 900.0]
    assert swept.kept == [7, 7]
