"""What has changed on record since the last look, in two queries whatever the number of rows."""

from collections.abc import Sequence
from dataclasses import dataclass

from analytics_service.audit.reconciliation import Gap
from analytics_service.records.tables import MARKS, OUTCOMES
from patchline.wire.errors import missing_extra

try:
    import sqlalchemy as sql
except ModuleNotFoundError as missing:  # pragma: no cover - the base install has no analytics
    raise missing_extra("sqlalchemy", "analytics") from missing


@dataclass(frozen=True, slots=True)
class Limits:
    """Between which numbers a station is on record.

    Attributes:
        lowest: The lowest number on record.
        highest: The highest one.
        forgotten: Numbers up to this one may have been deleted by retention.
    """

    station: str
    lowest: int
    highest: int
    forgotten: int


def limits_of(connection: sql.Connection) -> list[Limits]:
    """The limits of every station; jumps from one station to the next in the index instead of reading all rows."""
    names = sql.select(sql.func.min(OUTCOMES.c.station).label("station")).cte("names", recursive=True)
    following = sql.select(sql.func.min(OUTCOMES.c.station)).where(OUTCOMES.c.station > names.c.station)
    names = names.union_all(sql.select(following.scalar_subquery()).where(names.c.station.is_not(None)))
    here = OUTCOMES.c.station == names.c.station
    query = sql.select(
        names.c.station,
        sql.select(sql.func.min(OUTCOMES.c.sequence)).where(here).scalar_subquery().label("lowest"),
        sql.select(sql.func.max(OUTCOMES.c.sequence)).where(here).scalar_subquery().label("highest"),
        sql.select(MARKS.c.sequence).where(MARKS.c.station == names.c.station).scalar_subquery().label("forgotten"),
    ).where(names.c.station.is_not(None))
    return [Limits(row.station, row.lowest, row.highest, row.forgotten or 0) for row in connection.execute(query)]


def touched(connection: sql.Connection, gaps: Sequence[tuple[str, Gap]]) -> set[int]:
    """Which of these gaps, by place, have lost one of their numbers to a record."""
    if not gaps:
        return set()
    names = sorted({station for station, _ in gaps})
    # Written as text: the library takes longer to build a table of values than the database to answer.
    rows = ", ".join(
        f"({place}, CAST(:name{names.index(station)} AS VARCHAR(256)), {gap.first:d}, {gap.last:d})"
        for place, (station, gap) in enumerate(gaps)
    )
    statement = f"WITH asked(place, station, low, high) AS (VALUES {rows}) {_TOUCHED}"
    parameters = {f"name{place}": name for place, name in enumerate(names)}
    return set(connection.execute(sql.text(statement), parameters).scalars())


_TOUCHED = """SELECT place FROM asked
WHERE EXISTS (SELECT 1 FROM outcomes t WHERE t.station = asked.station AND t.sequence BETWEEN low AND high)
OR EXISTS (SELECT 1 FROM dead_letters t WHERE t.station = asked.station AND t.sequence BETWEEN low AND high)"""
