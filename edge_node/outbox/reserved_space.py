"""Disk space that is kept free for the outbox, so that it can be emptied when the disk is full."""

import contextlib
import os
from pathlib import Path


class ReservedSpace:
    """A file that only takes up space. SQLite needs space even to delete rows; removing this file gives it some.

    Args:
        path: The file.
        size_bytes: How much space it takes.
    """

    def __init__(self, path: Path, size_bytes: int) -> None:
        self._path, self._size_bytes = path, size_bytes
        self._held = False

    def hold(self) -> bool:
        """Reserve the space if the disk has that much; return whether it is reserved."""
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
        """Give the space back; return whether it was reserved."""
        was_held, self._held = self._held, False
        with contextlib.suppress(OSError):
            self._path.unlink()
        return was_held
