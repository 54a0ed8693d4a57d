"""How records are deleted: a few hundred rows in a transaction, and with a mark that says up to where."""

from collections.abc import Sequence
from typing import Any

from analytics_service.records.tables import MARKS, OUTCOMES, insert_once
from patchline.wire.errors import missing_extra

try:
    import sqlalchemy as sql
except ModuleNotFoundError as missing:  # pragma: no cover - the base install has no analytics
    raise missing_extra("sqlalchemy", "analytics") from missing

ROWS_AT_ONCE = 500
"""Rows deleted in one transaction: so few that a verdict never waits long for it."""


def delete_outcomes(engine: sql.Engine, older_than: float) -> int:
    """Delete the outcomes recorded before a time, the oldest first; how many are gone.

    The mark and the deletion are one transaction: a part that comes again meanwhile finds its outcome or the mark.
    """
    columns = (OUTCOMES.c.inspection_id, OUTCOMES.c.station, OUTCOMES.c.sequence, OUTCOMES.c.captured_at)
    oldest = sql.select(*columns).where(OUTCOMES.c.recorded_at < older_than).order_by(OUTCOMES.c.recorded_at)
    gone = 0
    while True:
        with engine.begin() as connection:
            doomed = connection.execute(oldest.limit(ROWS_AT_ONCE).with_for_update(skip_locked=True)).all()
            _raise_marks(connection, doomed)
            ids = [row.inspection_id for row in doomed]
            connection.execute(sql.delete(OUTCOMES).where(OUTCOMES.c.inspection_id.in_(ids)))
        gone += len(doomed)
        if len(doomed) < ROWS_AT_ONCE:
            return gone


def delete_older(engine: sql.Engine, table: sql.Table, older_than: float) -> int:
    """Delete the rows recorded before a time, the oldest first; how many are gone."""
    return _delete(engine, table, table.c.recorded_at < older_than)


def delete_oldest(engine: sql.Engine, table: sql.Table, keep: int) -> int:
    """Delete the oldest rows beyond a number of them; how many are gone."""
    with engine.connect() as connection:
        ranked = sql.select(table.c.recorded_at).order_by(table.c.recorded_at.desc()).offset(keep).limit(1)
        newest_excess = connection.execute(ranked).scalar()
    return 0 if newest_excess is None else _delete(engine, table, table.c.recorded_at <= newest_excess)


def _delete(engine: sql.Engine, table: sql.Table, condition: Any) -> int:
    keys = list(table.primary_key.columns)
    doomed = sql.select(*keys).where(condition).order_by(table.c.recorded_at).limit(ROWS_AT_ONCE)
    statement = sql.delete(table).where(sql.tuple_(*keys).in_(doomed))
    gone = 0
    while True:
        with engine.begin() as connection:
            deleted = connection.execute(statement).rowcount
        gone += deleted
        if deleted < ROWS_AT_ONCE:
            return gone


def _raise_marks(connection: sql.Connection, doomed: Sequence[Any]) -> None:
    # In one order for all workers: two that hold each other's stations would wait for each other.
    for station in sorted({row.station for row in doomed}):
        rows = [row for row in doomed if row.station == station]
        sequence = max(row.sequence for row in rows)
        captured_at = max(row.captured_at for row in rows)
        values = {"station": station, "sequence": sequence, "captured_at": captured_at}
        connection.execute(insert_once(connection, MARKS), values)
        here = MARKS.c.station == station
        connection.execute(sql.update(MARKS).where(here & (MARKS.c.sequence < sequence)).values(sequence=sequence))
        later = here & (MARKS.c.captured_at < captured_at)
        connection.execute(sql.update(MARKS).where(later).values(captured_at=captured_at))
