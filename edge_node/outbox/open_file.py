"""The connections to the outbox's file, and whether that file is still where it was opened."""

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from edge_node.outbox import database, steps
from edge_node.outbox.database import translated


class OpenFile:
    """The connections to one file, and where that file was when they were made."""

    def __init__(self, path: Path, station: str, last: int) -> None:
        self._path = path
        self.writer = database.connect(path, station, last=last)
        try:
            with translated(path):
                self.totals = steps.totals_of(self.writer)
                self.reader = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
                self.descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except BaseException:
            self.writer.close()
            raise
        self._inodes = {found: inode for found in self._parts() if (inode := _inode(found)) is not None}

    def is_in_place(self) -> bool:
        """Whether the file and its write-ahead log were neither deleted nor replaced."""
        return all(_inode(part) == inode for part, inode in self._inodes.items())

    def allocate(self) -> None:
        """Make sure that a later checkpoint finds the disk space it needs, for it cannot be refused then."""
        (pages,), (size,) = (self.writer.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size"))
        missing = pages * size - os.fstat(self.descriptor).st_size
        if missing > 0:
            os.posix_fallocate(self.descriptor, pages * size - missing, missing)

    def checkpoint(self, mode: str) -> None:
        """Copy what can be copied of the write-ahead log."""
        with translated(self._path):
            self.writer.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()

    def checkpoint_beside_others(self) -> None:
        """Copy most of the write-ahead log while others write, and let the disk finish that."""
        address = f"{self._path.absolute().as_uri()}?mode=rw"
        with translated(self._path), closing(sqlite3.connect(address, uri=True, isolation_level=None)) as connection:
            for _ in range(2):
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                os.fsync(self.descriptor)

    def close(self) -> None:
        """Close the connections; the descriptor last, for closing it gives up SQLite's locks."""
        with suppress(sqlite3.Error):
            self.reader.close()
        with suppress(sqlite3.Error):
            self.writer.close()
        os.close(self.descriptor)

    def _parts(self) -> list[Path]:
        return [self._path.with_name(self._path.name + suffix) for suffix in ("", "-wal", "-shm")]


def _inode(path: Path) -> tuple[int, int] | None:
    with suppress(OSError):
        found = path.stat()
        return found.st_dev, found.st_ino
    return None
