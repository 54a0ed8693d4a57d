"""The SQLite file of the outbox: its tables, its owner, and SQLite's errors translated."""

import fcntl
import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from patchline.wire.errors import MisconfiguredError, UnavailableError

_log = logging.getLogger(__name__)

SCHEMA_VERSION = 3
_SETTINGS = (
    "page_size=2048",
    "journal_mode=WAL",
    "synchronous=FULL",
    "wal_autocheckpoint=0",
    "secure_delete=OFF",
    "temp_store=MEMORY",
)
"""Small pages: a step changes few bytes on each of several pages. Checkpoints: see `edge_node.outbox.store`."""
_APPLICATION_ID = 0x70617463
_MOST_SET_ASIDE = 3
_BUSY_SECONDS = 0.2

_TABLES = """
CREATE TABLE identity (station TEXT NOT NULL) STRICT;
CREATE TABLE inspections (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    inspection_id TEXT NOT NULL UNIQUE,
    part_id TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    clock_id TEXT NOT NULL,
    captured_at REAL NOT NULL,
    captured_monotonic REAL NOT NULL,
    kind TEXT NOT NULL DEFAULT 'reserved',
    message_bytes INTEGER NOT NULL DEFAULT 0,
    sha256 TEXT,
    payload_bytes INTEGER NOT NULL DEFAULT 0,
    stages TEXT NOT NULL DEFAULT '{}',
    gate_action TEXT NOT NULL DEFAULT '',
    gate_grounds TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX inspections_by_sha256 ON inspections (sha256) WHERE sha256 IS NOT NULL;
CREATE INDEX inspections_with_frames ON inspections (sequence) WHERE kind = 'frame';
CREATE TABLE messages (sequence INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
CREATE TABLE undecided (inspection_id TEXT PRIMARY KEY, number INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE journal (
    number INTEGER PRIMARY KEY,
    sequence INTEGER NOT NULL,
    inspection_id TEXT NOT NULL,
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
"""`messages`: a body is inserted once and deleted once. `undecided`: closed inspections whose gate is not claimed."""

_MAY_PASS = frozenset(
    {"SQLITE_FULL", "SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_NOMEM", "SQLITE_IOERR", "SQLITE_READONLY"}
)


class DiskError(UnavailableError):
    """The disk of the outbox is full or failing."""


class DamagedError(MisconfiguredError):
    """The file is no intact database."""


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Translate SQLite's errors: `DiskError` may pass, `DamagedError` does not, nor does a `MisconfiguredError`."""
    try:
        yield
    except (sqlite3.ProgrammingError, sqlite3.IntegrityError):
        raise
    except OSError as error:
        raise DiskError(f"the outbox {path} cannot be written now: {error.strerror}") from error
    except sqlite3.OperationalError as error:
        if "_".join(error.sqlite_errorname.split("_")[:2]) in _MAY_PASS:
            raise DiskError(f"the outbox {path} cannot be written now: {error}") from error
        raise MisconfiguredError(f"the outbox cannot be used: {error}", where=str(path)) from error
    except sqlite3.DatabaseError as error:
        raise DamagedError(
            f"the outbox is damaged or no outbox: {error}",
            where=str(path),
            remedy="move the file away; what it held is lost to the line",
        ) from error


def lock(path: Path) -> int:
    """Take ownership of an outbox until the returned descriptor is closed or the process dies.

    Raises:
        MisconfiguredError: The folder cannot be written.
        UnavailableError: Another process owns the outbox.
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
        raise UnavailableError(
            f"another edge node uses this outbox ({path}); stop it, or give each station a file"
        ) from error
    return descriptor


def look_at(path: Path, station: str) -> None:
    """Make sure that a station could open an outbox, without writing; its edge node may be running.

    Raises:
        MisconfiguredError: The file is another station's, of another patchline, or no outbox; or there is none, and
            none can be made there.
    """
    if not path.exists():
        place = next((folder for folder in path.absolute().parents if folder.exists()), path)
        if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
            raise MisconfiguredError(
                f"no outbox can be made: {place} cannot be written", where=str(path), remedy="name another outbox.path"
            )
        return
    address = f"{path.resolve().as_uri()}?mode=ro"
    try:
        with translated(path), closing(sqlite3.connect(address, uri=True, isolation_level=None)) as connection:
            _look_inside(connection, path, station)
    except DamagedError as error:
        if not is_ours(path):
            raise
        _log.warning("%s; it will be set aside at the start", error)


def connect(path: Path, station: str, *, last: int = 0) -> sqlite3.Connection:
    """Open or make the file for one station; each commit is on the disk when it returns.

    Args:
        path: The file.
        station: Its owner.
        last: A new file gives out numbers above this one.

    Raises:
        MisconfiguredError: The file is another station's, of another patchline, or no outbox.
        UnavailableError: The disk is full or failing.
    """
    with translated(path):
        connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, check_same_thread=False, isolation_level=None)
        try:
            for setting in _SETTINGS:
                connection.execute(f"PRAGMA {setting}")
            if not _look_inside(connection, path, station):
                _make(connection, station, last)
                _log.info("outbox %s made for station %s", path, station)
        except BaseException:
            connection.close()
            raise
    return connection


def is_ours(path: Path) -> bool:
    """Whether a damaged file is an outbox: it says so itself, or the reserved space lies beside it."""
    if path.with_name(path.name + ".reserved").exists():
        return True
    with suppress(OSError), path.open("rb") as file:
        head = file.read(100)
        return head[:16] == b"SQLite format 3\0" and head[68:72] == _APPLICATION_ID.to_bytes(4, "big")
    return False


def set_aside(path: Path) -> Path:
    """Rename a damaged file and what belongs to it, and remove the oldest ones set aside before beyond three."""
    aside = path.with_name(f"{path.name}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}")
    with translated(path):
        for suffix in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
        kept = sorted(found for found in path.parent.glob(f"{path.name}.damaged-*Z"))
        for part in (part for old in kept[:-_MOST_SET_ASIDE] for part in path.parent.glob(f"{old.name}*")):
            part.unlink(missing_ok=True)
    return aside


def last_number_in(path: Path) -> int:
    """The highest number a damaged file gave out, as far as it can be read."""
    address = f"{path.resolve().as_uri()}?mode=ro"
    with suppress(sqlite3.Error), closing(sqlite3.connect(address, uri=True)) as connection:
        return int(connection.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence").fetchone()[0])
    return 0


def _look_inside(connection: sqlite3.Connection, path: Path, station: str) -> bool:
    """Whether the file is this station's outbox; False when it is empty, an error when it is anything else."""
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version not in {0, SCHEMA_VERSION}:
        raise MisconfiguredError(
            f"the outbox has version {version}, this patchline knows {SCHEMA_VERSION}",
            where=str(path),
            remedy="run the patchline that wrote it until it is empty, then move the file away",
        )
    if version == 0:
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise MisconfiguredError(
                "the file is the database of something else", where=str(path), remedy="name another outbox.path"
            )
        return False
    (owner,) = connection.execute("SELECT station FROM identity").fetchone() or ("nobody",)
    if owner != station:
        raise MisconfiguredError(
            f"the outbox belongs to station {owner}, not {station}",
            where=str(path),
            remedy="give each station a file of its own",
        )
    return True


def _make(connection: sqlite3.Connection, station: str, last: int) -> None:
    """Make the tables in one step: a file has all of them, its owner and its version, or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in _TABLES.split(";"):
            connection.execute(statement)
        connection.execute("INSERT INTO identity VALUES (?)", (station,))
        connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('inspections', ?)", (last,))
        connection.execute(f"PRAGMA application_id={_APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
