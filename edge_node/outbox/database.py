"""The SQLite file of the outbox: its tables, its owner, and its errors in our words."""

import fcntl
import logging
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from patchline.wire.errors import MisconfiguredError, UnavailableError

_log = logging.getLogger(__name__)

SCHEMA_VERSION = 2
_APPLICATION_ID = 0x70617463
_CHECKPOINT_PAGES = 256

_TABLES = """
CREATE TABLE identity (
    station TEXT NOT NULL
) STRICT;
CREATE TABLE inspections (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    inspection_id TEXT NOT NULL UNIQUE,
    part_id TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    clock_id TEXT NOT NULL,
    captured_at REAL NOT NULL,
    captured_monotonic REAL NOT NULL,
    kind TEXT NOT NULL DEFAULT 'reserved',
    message BLOB,
    message_bytes INTEGER NOT NULL DEFAULT 0,
    segment INTEGER,
    place INTEGER NOT NULL DEFAULT 0,
    length INTEGER NOT NULL DEFAULT 0,
    sha256 TEXT,
    payload_bytes INTEGER NOT NULL DEFAULT 0,
    stages TEXT NOT NULL DEFAULT '{}',
    gate_action TEXT NOT NULL DEFAULT '',
    gate_grounds TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX inspections_by_sha256 ON inspections (sha256);
CREATE INDEX inspections_by_segment ON inspections (segment) WHERE segment IS NOT NULL;
CREATE INDEX inspections_with_frames ON inspections (sequence) WHERE kind = 'frame';
CREATE TABLE indexed (
    segment INTEGER NOT NULL,
    place INTEGER NOT NULL
) STRICT;
INSERT INTO indexed VALUES (0, 0);
CREATE TABLE journal (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    sequence INTEGER NOT NULL UNIQUE,
    inspection_id TEXT NOT NULL UNIQUE,
    part_id TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    captured_at REAL NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT NOT NULL,
    latency_seconds REAL,
    payload_bytes INTEGER NOT NULL,
    wire_bytes INTEGER NOT NULL,
    sends INTEGER NOT NULL,
    stages TEXT NOT NULL,
    gate_action TEXT NOT NULL,
    gate_grounds TEXT NOT NULL
) STRICT;
"""

_FROM_VERSION_1 = """
ALTER TABLE inspections ADD COLUMN message_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE inspections ADD COLUMN segment INTEGER;
ALTER TABLE inspections ADD COLUMN place INTEGER NOT NULL DEFAULT 0;
ALTER TABLE inspections ADD COLUMN length INTEGER NOT NULL DEFAULT 0;
UPDATE inspections SET message_bytes = coalesce(length(message), 0);
CREATE INDEX inspections_by_segment ON inspections (segment) WHERE segment IS NOT NULL;
CREATE INDEX inspections_with_frames ON inspections (sequence) WHERE kind = 'frame';
CREATE TABLE indexed (
    segment INTEGER NOT NULL,
    place INTEGER NOT NULL
) STRICT;
INSERT INTO indexed VALUES (0, 0);
"""
"""Version 1 kept every message in its row; those it kept stay there until they are closed."""

_FULL = frozenset({"SQLITE_FULL", "SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_NOMEM"})


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Run a block, telling a full or failing disk (`UnavailableError`) from a wrong file (`MisconfiguredError`)."""
    try:
        yield
    except sqlite3.ProgrammingError:
        raise
    except sqlite3.OperationalError as error:
        name = error.sqlite_errorname
        if name in _FULL or name.startswith("SQLITE_IOERR"):
            raise UnavailableError(f"the outbox {path} cannot be written now: {error}") from error
        raise MisconfiguredError(f"the outbox cannot be used: {error}", where=str(path)) from error
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.IntegrityError):
            raise
        raise MisconfiguredError(
            f"the outbox is damaged or no outbox: {error}",
            where=str(path),
            remedy="move the file away; what it held is lost to the line",
        ) from error


def lock(path: Path) -> int:
    """Take ownership of an outbox until the returned descriptor is closed or the process dies.

    Raises:
        MisconfiguredError: Another process owns it, or the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise MisconfiguredError(
            f"the outbox cannot be made: {error.strerror}", where=str(path), remedy="name another outbox.path"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise MisconfiguredError(
            "another edge node uses this outbox", where=str(path), remedy="stop it, or give each station a file"
        ) from error
    return descriptor


def look_at(path: Path, station: str) -> None:
    """Make sure a station could open an outbox, and write nothing; its edge node may be running.

    Raises:
        MisconfiguredError: The file is another station's, of a newer patchline, damaged or no database; or there is
            none, and none can be made there.
    """
    if not path.exists():
        place = next((folder for folder in path.absolute().parents if folder.exists()), path)
        if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
            raise MisconfiguredError(
                f"no outbox can be made: {place} cannot be written", where=str(path), remedy="name another outbox.path"
            )
        return
    address = f"{path.resolve().as_uri()}?mode=ro"
    with translated(path), closing(sqlite3.connect(address, uri=True, isolation_level=None)) as connection:
        if _version_of(connection, path) > 0:
            owner = connection.execute("SELECT station FROM identity").fetchone()
            _keep_to_owner(owner, path, station)
        else:
            _keep_to_empty(connection, path)


def open_database(path: Path, station: str, *, make_room: Callable[[], object]) -> sqlite3.Connection:
    """Open or create the file for one station; every commit is on the disk when it returns.

    Args:
        path: The file.
        station: Whose it is.
        make_room: Frees what is kept aside on its disk, which may have been full already when the last boot ended.

    Raises:
        MisconfiguredError: The file is another station's, of a newer patchline, damaged, or no database.
        UnavailableError: The disk is full or failing.
    """
    try:
        return _open(path, station)
    except UnavailableError:
        make_room()
        return _open(path, station)


def _open(path: Path, station: str) -> sqlite3.Connection:
    with translated(path):
        connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
        connection.execute("PRAGMA secure_delete=OFF")
        version = _version_of(connection, path)
        if version == 0:
            _make(connection, path)
        elif version == 1:
            _step(connection, _FROM_VERSION_1)
            _log.info("outbox %s taken over from an older patchline", path)
        _claim(connection, path, station)
    return connection


def _version_of(connection: sqlite3.Connection, path: Path) -> int:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version not in {0, 1, SCHEMA_VERSION}:
        raise MisconfiguredError(
            f"the outbox has version {version}, this patchline knows {SCHEMA_VERSION}",
            where=str(path),
            remedy="use the patchline that wrote it until it is empty",
        )
    return version


def _keep_to_empty(connection: sqlite3.Connection, path: Path) -> None:
    if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise MisconfiguredError(
            "the file is the database of something else", where=str(path), remedy="name another outbox.path"
        )


def _make(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables in one step: a file has all of them and its version, or nothing."""
    _keep_to_empty(connection, path)
    _step(connection, f"PRAGMA application_id={_APPLICATION_ID}; {_TABLES}")


def _step(connection: sqlite3.Connection, script: str) -> None:
    try:
        connection.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version={SCHEMA_VERSION}; COMMIT;")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def open_reader(path: Path) -> sqlite3.Connection:
    """A second connection that sees what is committed, while the first one commits."""
    with translated(path):
        return sqlite3.connect(path, check_same_thread=False, isolation_level=None)


def _claim(connection: sqlite3.Connection, path: Path, station: str) -> None:
    owner = connection.execute("SELECT station FROM identity").fetchone()
    if owner is None:
        connection.execute("INSERT INTO identity (station) VALUES (?)", (station,))
        _log.info("outbox %s made for station %s", path, station)
    _keep_to_owner(owner, path, station)


def _keep_to_owner(owner: tuple[str] | None, path: Path, station: str) -> None:
    if owner is not None and owner[0] != station:
        raise MisconfiguredError(
            f"the outbox belongs to station {owner[0]}, not {station}",
            where=str(path),
            remedy="give each station a file of its own",
        )
