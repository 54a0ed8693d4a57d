"""The records' tables, and how they are made. `SCHEMA_VERSION` names their form."""

from typing import Any

from patchline.wire.errors import MisconfiguredError, missing_extra

try:
    import sqlalchemy as sql
    from sqlalchemy.dialects import postgresql, sqlite
except ModuleNotFoundError as missing:  # pragma: no cover - the base install has no analytics
    raise missing_extra("sqlalchemy", "analytics") from missing

METADATA = sql.MetaData()

SCHEMA_VERSION = 1

SCHEMA = sql.Table("records_schema", METADATA, sql.Column("version", sql.Integer, primary_key=True))
"""One row: the form of the other tables."""

OUTCOMES = sql.Table(
    "outcomes",
    METADATA,
    sql.Column("inspection_id", sql.String(36), primary_key=True),
    sql.Column("station", sql.String(256), nullable=False),
    sql.Column("sequence", sql.BigInteger, nullable=False),
    sql.Column("part_id", sql.String(256), nullable=False),
    sql.Column("captured_at", sql.Double, nullable=False),
    sql.Column("kind", sql.String(16), nullable=False),
    sql.Column("result", sql.String(32), nullable=False),
    sql.Column("score", sql.Double),
    sql.Column("detail", sql.String(2048), nullable=False),
    sql.Column("body", sql.LargeBinary, nullable=False),
    sql.Column("recorded_at", sql.Double, nullable=False),
    # Holds all that the search for missing numbers reads, so that it does not read the rows.
    sql.Index("outcomes_by_sequence", "station", "sequence", "recorded_at"),
    sql.Index("outcomes_by_time", "recorded_at"),
)
"""One row for each part; the inspection id as key makes its outcome the only one."""

DEAD_LETTERS = sql.Table(
    "dead_letters",
    METADATA,
    sql.Column("received_sha256", sql.String(64), primary_key=True),
    sql.Column("station", sql.String(256), primary_key=True),
    sql.Column("topic", sql.String(512), nullable=False),
    sql.Column("inspection_id", sql.String(36), nullable=False),
    sql.Column("sequence", sql.BigInteger),
    sql.Column("code", sql.String(64), nullable=False),
    sql.Column("reason", sql.String(2048), nullable=False),
    sql.Column("received_bytes", sql.BigInteger, nullable=False),
    sql.Column("received", sql.LargeBinary, nullable=False),
    sql.Column("answer", sql.LargeBinary, nullable=False),
    sql.Column("recorded_at", sql.Double, nullable=False),
    sql.Index("dead_letters_by_sequence", "station", "sequence"),
    sql.Index("dead_letters_by_time", "recorded_at"),
)
"""Messages that could not be read or scored, for whoever repairs them."""

MARKS = sql.Table(
    "marks",
    METADATA,
    sql.Column("station", sql.String(256), primary_key=True),
    sql.Column("sequence", sql.BigInteger, nullable=False),
    sql.Column("captured_at", sql.Double, nullable=False),
)
"""Up to where retention deleted outcomes of each station: everything below is closed."""

_LOCK = 0x70617463
"""Names PostgreSQL's advisory lock: workers that start at once make the tables one after another."""

_INSERTS: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def insert_once(connection: sql.Connection, table: sql.Table) -> Any:
    """An INSERT that leaves the row alone that is already there."""
    return _INSERTS[connection.dialect.name](table).on_conflict_do_nothing()


def create_tables(engine: sql.Engine) -> None:
    """Make the tables if there are none; several workers may start on one database at once.

    Raises:
        MisconfiguredError: The database holds tables of another form, or its user may not make tables.
    """
    with engine.connect() as connection:
        if _is_ours(connection):
            return
    try:
        with engine.begin() as connection:
            _lock(connection)
            if not _is_ours(connection):
                METADATA.create_all(connection)
                connection.execute(sql.insert(SCHEMA).values(version=SCHEMA_VERSION))
    except sql.exc.ProgrammingError as error:
        raise MisconfiguredError(
            f"the records' tables cannot be made: {error.orig}",
            where="records.url",
            remedy="let the database's user make tables in its schema when the service starts for the first time",
        ) from error


def _is_ours(connection: sql.Connection) -> bool:
    """Whether the tables are there; False where none of them is.

    Raises:
        MisconfiguredError: They have another form.
    """
    present = set(METADATA.tables) & set(sql.inspect(connection).get_table_names())
    if not present:
        return False
    version = None
    if present == set(METADATA.tables):
        version = connection.execute(sql.select(SCHEMA.c.version)).scalar()
    if version != SCHEMA_VERSION:
        found = "of another program or of a version before the first release" if version is None else f"{version}"
        raise MisconfiguredError(
            f"the database holds records in another form: {found}; this version writes form {SCHEMA_VERSION}",
            where="records.url",
            remedy="name an empty database, and keep the other one as long as its history is needed",
        )
    return True


def _lock(connection: sql.Connection) -> None:
    """From here to the end of the transaction no other worker makes tables."""
    if connection.dialect.name == "sqlite":
        # Python's driver begins a transaction at the first change of a row only, too late for the tables.
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
        connection.execute(sql.select(sql.func.pg_advisory_xact_lock(_LOCK)))
