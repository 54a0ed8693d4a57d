"""How records are let go of: a few hundred rows a transaction, and with a note that a gap in the numbers is no loss."""

from operator import itemgetter
from typing import Any

from analytics_service.records.tables import DEAD_LETTERS, DROPS, ENDS, FORGOTTEN, INSPECTIONS, insert_once

try:
    import sqlalchemy as sql
except ModuleNotFoundError as missing:  # pragma: no cover - the base install has no analytics
    from patchline.wire.errors import missing_extra

    raise missing_extra("sqlalchemy", "analytics") from missing

FORGET_ROWS = 500
"""Rows deleted in one transaction: few enough that a verdict never waits long behind the broom."""


def note_forgotten(engine: sql.Engine, older_than: float) -> None:
    """Before rows go: write down the highest number of each station among them."""
    selects = [
        sql.select(table.c.station, table.c.sequence).where(table.c.at < older_than)
        for table in (INSPECTIONS, DROPS, DEAD_LETTERS)
    ]
    doomed = sql.union_all(*selects).subquery()
    highest = sql.select(doomed.c.station, sql.func.max(doomed.c.sequence).label("sequence"))
    with engine.begin() as connection:
        found = connection.execute(highest.group_by(doomed.c.station)).all()
        rows = [row._asdict() for row in found if row.sequence is not None]
        # In one order for all workers: two that hold each other's stations would wait for each other.
        for row in sorted(rows, key=itemgetter("station")):
            connection.execute(insert_once(engine, FORGOTTEN), row)
            lower = (FORGOTTEN.c.station == row["station"]) & (FORGOTTEN.c.sequence < row["sequence"])
            connection.execute(sql.update(FORGOTTEN).where(lower).values(sequence=row["sequence"]))


def forget_ends(engine: sql.Engine, older_than: float) -> int:
    """Delete how parts ended before a time, with all that says so, the oldest first; how many ends are gone.

    An end and its details go in one step: a part that comes again meanwhile has both or neither. Ends that a worker
    is looking at are left for the next sweep.
    """
    oldest = sql.select(ENDS.c.inspection_id).where(ENDS.c.at < older_than).order_by(ENDS.c.at).limit(FORGET_ROWS)
    gone = 0
    while True:
        with engine.begin() as connection:
            doomed = connection.execute(oldest.with_for_update(skip_locked=True)).scalars().all()
            for table in (INSPECTIONS, DROPS, ENDS):
                this = table.c.inspection_id.in_(doomed) & (table.c.at < older_than)
                connection.execute(sql.delete(table).where(this))
        gone += len(doomed)
        if len(doomed) < FORGET_ROWS:
            return gone


def delete_oldest(engine: sql.Engine, table: sql.Table, condition: Any) -> int:
    """Delete the rows for which a condition holds, the oldest first; how many are gone."""
    keys = list(table.primary_key.columns)
    doomed = sql.select(*keys).where(condition).order_by(table.c.at).limit(FORGET_ROWS)
    statement = sql.delete(table).where(sql.tuple_(*keys).in_(doomed))
    gone = 0
    while True:
        with engine.begin() as connection:
            deleted = connection.execute(statement).rowcount
        gone += deleted
        if deleted < FORGET_ROWS:
            return gone
