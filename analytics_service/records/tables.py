"""The records' tables, and how a database is opened so that what it acknowledges is on its disk."""

from pathlib import Path
from typing import Any, Literal

from patchline.runtime.redaction import redacted
from patchline.wire.errors import MisconfiguredError, UnavailableError, missing_extra

try:
    import sqlalchemy as sql
    from sqlalchemy.dialects import postgresql, sqlite
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
except ModuleNotFoundError as missing:  # pragma: no cover - the base install has no analytics
    raise missing_extra("sqlalchemy", "analytics") from missing

METADATA = sql.MetaData()


def _identity() -> tuple[sql.Column[Any], ...]:
    """Which part a row is about; its inspection id decides that there is one row only."""
    return (
        sql.Column("inspection_id", sql.String(36), primary_key=True),
        sql.Column("station", sql.String(256), nullable=False),
        sql.Column("boot_id", sql.String(256), nullable=False),
        sql.Column("sequence", sql.BigInteger, nullable=False),
        sql.Column("part_id", sql.String(256), nullable=False),
    )


End = Literal["inspections", "drops"]
"""How a part ended, called after the table that says more."""

ENDS = sql.Table(
    "ends",
    METADATA,
    sql.Column("inspection_id", sql.String(36), primary_key=True),
    sql.Column("kind", sql.String(16), nullable=False),
    sql.Column("at", sql.Float, nullable=False, index=True),
)
"""Every part that has ended, once, however it ended: what makes an end the only one. Written first, forgotten last."""

INSPECTIONS = sql.Table(
    "inspections",
    METADATA,
    *_identity(),
    sql.Column("outcome", sql.String(16), nullable=False),
    sql.Column("score", sql.Float),
    sql.Column("historical", sql.Boolean, nullable=False),
    sql.Column("verdict", sql.LargeBinary, nullable=False),
    sql.Column("at", sql.Float, nullable=False, index=True),
    sql.Index("inspections_by_sequence", "station", "sequence"),
)

DROPS = sql.Table(
    "drops",
    METADATA,
    *_identity(),
    sql.Column("reason", sql.String(32), nullable=False),
    sql.Column("detail", sql.String(2048), nullable=False),
    sql.Column("at", sql.Float, nullable=False, index=True),
    sql.Index("drops_by_sequence", "station", "sequence"),
)

DEAD_LETTERS = sql.Table(
    "dead_letters",
    METADATA,
    sql.Column("received_sha256", sql.String(64), primary_key=True),
    sql.Column("topic", sql.String(512), primary_key=True),
    sql.Column("station", sql.String(256), nullable=False),
    sql.Column("inspection_id", sql.String(36), nullable=False),
    sql.Column("sequence", sql.BigInteger),
    sql.Column("code", sql.String(64), nullable=False),
    sql.Column("reason", sql.String(2048), nullable=False),
    sql.Column("received_bytes", sql.BigInteger, nullable=False),
    sql.Column("received", sql.LargeBinary, nullable=False),
    sql.Column("verdict", sql.LargeBinary, nullable=False),
    sql.Column("at", sql.Float, nullable=False, index=True),
    sql.Index("dead_letters_by_sequence", "station", "sequence"),
)

FORGOTTEN = sql.Table(
    "forgotten",
    METADATA,
    sql.Column("station", sql.String(256), primary_key=True),
    sql.Column("sequence", sql.BigInteger, nullable=False),
)
"""Up to which number a station's records may have been forgotten: what is missing below is not missed."""

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


def engine_of(url: str) -> sql.Engine:
    """What will open a database; nothing is opened or made yet.

    Raises:
        MisconfiguredError: The URL is not one, names a database we do not write or a folder that does not exist, or its
            driver is not installed.
    """
    try:
        engine = sql.create_engine(_alert(sql.make_url(url)), pool_pre_ping=not url.startswith("sqlite"))
    except ModuleNotFoundError as error:
        raise missing_extra(error.name or "the database driver", "postgres") from error
    except (ArgumentError, NoSuchModuleError) as error:
        raise MisconfiguredError(
            f"the records' database URL {redacted(url)!r} cannot be used",
            where="records.url",
            remedy="write it like sqlite:///records.db or postgresql+psycopg://user@host/name",
        ) from error
    if engine.dialect.name not in _INSERTS:
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
    except SQLAlchemyError as error:
        cause = redacted(str(getattr(error, "orig", None) or error))
        advice = "; may we write into its folder?" if engine.dialect.name == "sqlite" else ""
        raise UnavailableError(f"the records at {engine.url!r} cannot be opened: {cause}{advice}") from error
    return engine


_INSERTS: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def insert_once(engine: sql.Engine, table: sql.Table) -> Any:
    """An INSERT that leaves the row alone that is already there."""
    return _INSERTS[engine.dialect.name](table).on_conflict_do_nothing()


def _check_folder(url: sql.URL) -> None:
    folder = Path(url.database or "").parent
    if not folder.is_dir():
        raise MisconfiguredError(
            f"the folder of the records, {folder}, does not exist",
            where="records.url",
            remedy="make it, or name another",
        )


def _alert(url: sql.URL) -> sql.URL:
    """The URL with what notices a vanished database, as far as the driver knows it and the URL does not say."""
    if url.drivername not in {"postgresql", "postgresql+psycopg", "postgresql+psycopg2"}:
        return url
    return url.update_query_dict({name: value for name, value in _DEAD_PEER.items() if name not in url.query})


def _bound_postgresql(connection: Any, _record: object) -> None:
    # Whoever decides a part holds its row until it commits: a worker that is frozen there must not stop the others.
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
