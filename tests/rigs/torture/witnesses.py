"""What can be read of a station from outside, also after it was killed."""

import sqlite3
from contextlib import closing, suppress
from pathlib import Path


def open_parts(outbox: Path) -> list[str]:
    """The parts an outbox holds rows of."""
    with suppress(sqlite3.OperationalError), closing(sqlite3.connect(f"file:{outbox}?mode=ro", uri=True)) as connection:
        return [row[0] for row in connection.execute("SELECT part_id FROM inspections")]
    return []


def lines_of(path: Path) -> list[str]:
    """The lines of a witness' paper; none before it wrote."""
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
