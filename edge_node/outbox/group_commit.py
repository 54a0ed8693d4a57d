"""Many threads, one write: whoever waits while the disk is busy is written together, and flushed once."""

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


class _Place(Generic[Item, Outcome]):
    """A caller's place in the group that is written next."""

    def __init__(self, item: Item) -> None:
        self.item = item
        self.settled = False
        self.outcome: Outcome | BaseException | None = None


class GroupCommit(Generic[Item, Outcome]):
    """Collects items while a commit runs; the first caller to find the disk free commits all that wait.

    Nobody waits for company: a single caller commits at once, so a lone writer is as fast as without a group.

    Args:
        commit: Makes the items durable in their order, and gives for each its outcome or the error that is its alone.
            What it raises is the error of the whole group.
    """

    def __init__(self, commit: Callable[[Sequence[Item]], Sequence[Outcome | Exception]]) -> None:
        self._commit = commit
        self._changed = threading.Condition()
        self._waiting: list[_Place[Item, Outcome]] = []
        self._busy = False

    def __call__(self, item: Item) -> Outcome:
        """Commit an item, alone or in company; when this returns, it is on the disk.

        Raises:
            Exception: What `commit` gave or raised for it.
        """
        place: _Place[Item, Outcome] = _Place(item)
        group: list[_Place[Item, Outcome]] = []
        with self._changed:
            self._waiting.append(place)
            self._changed.wait_for(lambda: place.settled or not self._busy)
            if not place.settled:
                self._busy = True
                group, self._waiting = self._waiting, []
        if group:
            self._lead(group)
        if isinstance(place.outcome, BaseException):
            raise place.outcome
        return place.outcome  # type: ignore[return-value]  # settled: it is the outcome

    def _lead(self, group: list[_Place[Item, Outcome]]) -> None:
        outcomes: Sequence[Outcome | BaseException]
        try:
            outcomes = self._commit([place.item for place in group])
        except BaseException as error:  # noqa: BLE001  each caller of the group raises it, this one too
            outcomes = [error] * len(group)
        with self._changed:
            for place, outcome in zip(group, outcomes, strict=True):
                place.outcome, place.settled = outcome, True
            self._busy = False
            self._changed.notify_all()
