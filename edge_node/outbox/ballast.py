"""Disk space kept aside, so that an outbox on a full disk can still be emptied."""

import contextlib
import os
from pathlib import Path


class Ballast:
    """A file that only takes up room. SQLite needs room even to delete; on a full disk, throwing it off makes some.

    Args:
        path: The file.
        size_bytes: How much room it takes.
    """

    def __init__(self, path: Path, size_bytes: int) -> None:
        self._path, self._size_bytes = path, size_bytes
        self._held = False

    @property
    def held(self) -> bool:
        """Whether the room is kept aside."""
        return self._held

    def hold(self) -> bool:
        """Keep the room aside, if there is as much; whether it is."""
        if self._held:
            return True
        try:
            with self._path.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, self._size_bytes)
        except OSError:
            self.release()
            return False
        self._held = True
        return True

    def release(self) -> bool:
        """Give the room back; whether there was any."""
        was_held, self._held = self._held, False
        with contextlib.suppress(OSError):
            self._path.unlink()
        return was_held
