"""Making the records' tables, and taking over what an older patchline recorded."""

import logging

from analytics_service.records.tables import DROPS, ENDS, INSPECTIONS, METADATA
from patchline.wire.errors import MisconfiguredError

try:
    import sqlalchemy as sql
    from sqlalchemy.exc import ProgrammingError
    from sqlalchemy.schema import CreateIndex, CreateTable
except ModuleNotFoundError as missing:  # pragma: no cover - the base install has no analytics
    from patchline.wire.errors import missing_extra

    raise missing_extra("sqlalchemy", "analytics") from missing

log = logging.getLogger(__name__)

_LOCK = 0x70617463
"""Names PostgreSQL's advisory lock: workers that start at once make the tables one after another."""


def create_tables(engine: sql.Engine) -> None:
    """Make what is not there yet, all of it or nothing; several workers may start on one database at once.

    Raises:
        MisconfiguredError: The database's user may not make tables.
    """
    with engine.connect() as connection:
        if not _missing(connection):
            return
    try:
        with engine.begin() as connection:
            _alone(connection)
            missing_now = _missing(connection)
            for table in METADATA.sorted_tables:
                connection.execute(CreateTable(table, if_not_exists=True))
                for index in sorted(table.indexes, key=lambda index: str(index.name)):
                    connection.execute(CreateIndex(index, if_not_exists=True))
            if ENDS.name in missing_now and INSPECTIONS.name not in missing_now:
                _admit_what_was_recorded(connection)
    except ProgrammingError as error:
        raise MisconfiguredError(
            f"the records' tables cannot be made: {error.orig}",
            where="records.url",
            remedy="let the database's user make tables in its schema while this version starts for the first time",
        ) from error


def _missing(connection: sql.Connection) -> set[str]:
    return set(METADATA.tables) - set(sql.inspect(connection).get_table_names())


def _alone(connection: sql.Connection) -> None:
    """From here to the end of the transaction no other worker makes tables."""
    if connection.dialect.name == "sqlite":
        # Python's driver begins a transaction at the first change of a row only, too late for the tables.
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
        connection.execute(sql.select(sql.func.pg_advisory_xact_lock(_LOCK)))


def _admit_what_was_recorded(connection: sql.Connection) -> None:
    """An older patchline let a part stand among the verdicts and among the drops; the verdict is its end then."""
    admitted = []
    for table in (INSPECTIONS, DROPS):
        known = sql.exists().where(ENDS.c.inspection_id == table.c.inspection_id)
        recorded = sql.select(table.c.inspection_id, sql.literal(table.name), table.c.at).where(~known)
        statement = sql.insert(ENDS).from_select(["inspection_id", "kind", "at"], recorded)
        admitted.append(connection.execute(statement).rowcount)
    log.info("records of an older patchline taken over: %d verdicts, %d drops", *admitted)
