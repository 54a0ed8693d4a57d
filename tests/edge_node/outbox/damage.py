"""Damages an outbox's file as a bad disk does."""

import sqlite3
from contextlib import closing
from pathlib import Path


def spoil_table(path: Path, table: str) -> None:
    """Overwrite the first page of a table, as a bad block of an SD card does."""
    with closing(sqlite3.connect(path)) as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)


def spoil_running(path: Path, table: str) -> None:
    """The same while an edge node has the file open: nothing of the page is left in a log or a cache."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        assert connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0)
        spoil_table(path, table)
        connection.execute("UPDATE identity SET station = station")


def spoil_header(path: Path) -> None:
    """Overwrite what makes the file a database."""
    with path.open("r+b") as file:
        file.write(bytes(100))


def cut_in_half(path: Path) -> None:
    """Keep the first half of the file."""
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
