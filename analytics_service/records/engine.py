"""How the records' database is opened, so that what it acknowledges is on its disk, and how its errors are read."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from patchline.runtime.redaction import redacted
from patchline.wire.errors import MisconfiguredError, UnavailableError, UnreadableError, missing_extra

try:
    import sqlalchemy as sql
    from sqlalchemy import exc
except ModuleNotFoundError as missing:  # pragma: no cover - the base install has no analytics
    raise missing_extra("sqlalchemy", "analytics") from missing

KINDS = ("sqlite", "postgresql")

BUSY_TIMEOUT_MILLISECONDS = 10_000
"""How long one process waits for another's SQLite transaction before it calls the records unavailable."""

IDLE_IN_TRANSACTION_SECONDS = 30
"""After which PostgreSQL gives up a worker that stopped in the middle of a transaction: its rows are free again."""
LOCK_SECONDS = 10
"""How long a PostgreSQL session waits for another's row before it calls the records unavailable, and tries again."""

_DEAD_PEER = {
    "connect_timeout": "10",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}
"""For the driver: notice a database whose machine has vanished, instead of waiting two hours for the kernel to."""

_PERMANENT = (exc.DataError, exc.IntegrityError, exc.ProgrammingError, exc.NotSupportedError)
"""What stays wrong however often it is tried: a value or a statement that the database does not take."""


def engine_of(url: str) -> sql.Engine:
    """What will open a database; nothing is opened or made yet.

    Raises:
        MisconfiguredError: The URL is not one, names a database we do not write or a folder that does not exist, or its
            driver is not installed.
    """
    try:
        engine = sql.create_engine(_watchful(sql.make_url(url)), pool_pre_ping=not url.startswith("sqlite"))
    except ModuleNotFoundError as error:
        raise missing_extra(error.name or "the database driver", "postgres") from error
    except (exc.ArgumentError, exc.NoSuchModuleError) as error:
        raise MisconfiguredError(
            f"the records' database URL {redacted(url)!r} cannot be used",
            where="records.url",
            remedy="write it like sqlite:///records.db or postgresql+psycopg://user@host/name",
        ) from error
    if engine.dialect.name not in KINDS:
        raise MisconfiguredError(
            f"the records cannot be kept in {engine.dialect.name}",
            where="records.url",
            remedy="use sqlite or postgresql",
        )
    if engine.dialect.name == "sqlite":
        _check_folder(engine.url)
        sql.event.listen(engine, "connect", _harden_sqlite)
    else:
        sql.event.listen(engine, "connect", _bound_postgresql)
    return engine


def open_engine(url: str) -> sql.Engine:
    """Open a database and make sure that it answers.

    Raises:
        MisconfiguredError: As `engine_of`.
        UnavailableError: The database does not answer or cannot be written.
    """
    engine = engine_of(url)
    try:
        engine.connect().close()
    except exc.SQLAlchemyError as error:
        cause = redacted(str(getattr(error, "orig", None) or error))
        advice = "; may we write into its folder?" if engine.dialect.name == "sqlite" else ""
        raise UnavailableError(f"the records at {engine.url!r} cannot be opened: {cause}{advice}") from error
    return engine


@contextmanager
def translated() -> Iterator[None]:
    """Give the database's errors the names by which callers know what to do.

    Raises:
        UnavailableError: The database is away, busy or full: the same statement may succeed later.
        UnreadableError: It does not take the values (`database`): they will never be recorded as they are.
    """
    try:
        yield
    except exc.SQLAlchemyError as error:
        # SQLAlchemy's own sentence repeats the whole statement with its parameters, pictures included.
        cause = redacted(str(getattr(error, "orig", None) or error))
        if isinstance(error, _PERMANENT) or not isinstance(error, (exc.DBAPIError, exc.TimeoutError)):
            raise UnreadableError(f"the records do not take it: {cause}", code="database") from error
        raise UnavailableError(f"the records cannot be used: {cause}") from error
    except (UnicodeError, OverflowError) as error:
        # Raised by the drivers themselves for text and numbers that they cannot send.
        raise UnreadableError(f"the records do not take it: {error}", code="database") from error


def _check_folder(url: sql.URL) -> None:
    folder = Path(url.database or "").parent
    if not folder.is_dir():
        raise MisconfiguredError(
            f"the folder of the records, {folder}, does not exist",
            where="records.url",
            remedy="make it, or name another",
        )


def _watchful(url: sql.URL) -> sql.URL:
    """The URL with what notices a vanished database, as far as the driver knows it and the URL does not say."""
    if url.drivername not in {"postgresql", "postgresql+psycopg", "postgresql+psycopg2"}:
        return url
    return url.update_query_dict({name: value for name, value in _DEAD_PEER.items() if name not in url.query})


def _bound_postgresql(connection: Any, _record: object) -> None:
    # A worker that is frozen in the middle of a transaction holds rows: it must not stop the others.
    cursor = connection.cursor()
    cursor.execute(f"SET idle_in_transaction_session_timeout = {1000 * IDLE_IN_TRANSACTION_SECONDS}")
    cursor.execute(f"SET lock_timeout = {1000 * LOCK_SECONDS}")
    cursor.close()
    connection.commit()


def _harden_sqlite(connection: Any, _record: object) -> None:
    # WAL lets readers in while a worker writes; FULL is what makes "recorded" survive a power cut.
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MILLISECONDS}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.close()
