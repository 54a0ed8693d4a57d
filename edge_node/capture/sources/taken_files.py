"""Which pictures of a watched folder were taken, remembered over restarts."""

import logging
import sqlite3
import threading
from pathlib import Path
from typing import NamedTuple

_log = logging.getLogger(__name__)

_MOST_FILES = 100_000


class SeenFile(NamedTuple):
    """A file as it was when it was looked at; with another size or time it is another picture."""

    path: Path
    size: int
    mtime_ns: int

    @property
    def key(self) -> str:
        """The path as text, also where it is not UTF-8."""
        return str(self.path).encode("utf-8", "backslashreplace").decode()

    @property
    def written_at(self) -> float:
        """Unix time of the last write."""
        return self.mtime_ns / 1e9


class TakenFiles:
    """A small SQLite file. Where it cannot be written, what was taken is remembered until the restart only.

    Args:
        path: The file; made where missing.
        most: How many files are remembered; the oldest are forgotten first.
    """

    def __init__(self, path: Path, *, most: int = _MOST_FILES) -> None:
        self._path, self._most = path, most
        self._guard = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._taken: dict[str, tuple[int, int]] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=1.0)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS taken (number INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, "
                "size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL) STRICT"
            )
            rows = self._connection.execute("SELECT key, size, mtime_ns FROM taken ORDER BY number")
            self._taken = {key: (size, mtime_ns) for key, size, mtime_ns in rows}
        except (OSError, sqlite3.Error) as error:
            self._forget(error)

    def __contains__(self, file: SeenFile) -> bool:
        return self._taken.get(file.key) == (file.size, file.mtime_ns)

    def knows(self, key: str) -> bool:
        """Whether a file of this name was ever taken."""
        return key in self._taken

    def __len__(self) -> int:
        return len(self._taken)

    def add(self, *files: SeenFile) -> None:
        """Remember files."""
        with self._guard:
            for file in files:
                self._taken.pop(file.key, None)
                self._taken[file.key] = (file.size, file.mtime_ns)
            while len(self._taken) > self._most:
                self._taken.pop(next(iter(self._taken)))
            if self._connection is not None:
                self._write(self._connection, files)

    def close(self) -> None:
        """Give the file back."""
        with self._guard:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _write(self, connection: sqlite3.Connection, files: tuple[SeenFile, ...]) -> None:
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(
                "INSERT OR REPLACE INTO taken (key, size, mtime_ns) VALUES (?, ?, ?)",
                [(file.key, file.size, file.mtime_ns) for file in files],
            )
            connection.execute("DELETE FROM taken WHERE number <= (SELECT max(number) FROM taken) - ?", (self._most,))
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            self._forget(error)

    def _forget(self, error: Exception) -> None:
        _log.error("which pictures were taken is not remembered over a restart, %s: %s", self._path, error)
        if self._connection is not None:
            self._connection.close()
            self._connection = None
