"""A bounded queue in which each item waits once."""

import threading
from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class UniqueQueue(Generic[T]):
    """First in, first out. An item is noted and taken under one lock, so it can be put again once it was taken.

    Args:
        most: How many items may wait.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: dict[T, None] = {}
        self._changed = threading.Condition()

    def __len__(self) -> int:
        """How many items wait."""
        return len(self._waiting)

    def put(self, item: T) -> bool:
        """Have an item wait, unless it waits already; False when too many others wait."""
        with self._changed:
            if item not in self._waiting and len(self._waiting) >= self._most:
                return False
            self._waiting[item] = None
            self._changed.notify()
            return True

    def take(self, timeout_seconds: float) -> T | None:
        """The item that waited longest; None when none came in time."""
        with self._changed:
            if not self._waiting:
                self._changed.wait(timeout_seconds)
            for item in self._waiting:
                del self._waiting[item]
                return item
            return None
