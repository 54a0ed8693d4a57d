"""Produced = judged + dropped: a station's numbers have no gaps, so what is missing between two of them is missed."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from analytics_service.audit.number_line import Gap, NumberLine
from analytics_service.records.records import Records
from analytics_service.records.tables import DEAD_LETTERS, DROPS, FORGOTTEN, INSPECTIONS

try:
    import sqlalchemy as sql
except ModuleNotFoundError as missing:  # pragma: no cover - the base install has no analytics
    from patchline.wire.errors import missing_extra

    raise missing_extra("sqlalchemy", "analytics") from missing

_ROWS_AT_ONCE = 5000


@dataclass(slots=True)
class StationBooks:
    """What is on record of one station.

    Attributes:
        numbers: Those decided, one way or another.
        judged: Parts by outcome. An unreadable message counts only where nothing better is on record of its number.
        dropped: Parts by reason.
        repeated: Parts beyond the first that carry a number already used, as after an outbox was thrown away.
        nameless: Unreadable messages that did not say which number they were: one of them may be what is missing.
        forgotten: Numbers up to this one may have been deleted by retention and are not missed.
    """

    station: str
    numbers: NumberLine = field(default_factory=NumberLine)
    judged: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    repeated: int = 0
    nameless: int = 0
    forgotten: int = 0

    @property
    def gaps(self) -> list[Gap]:
        """The numbers that are missing."""
        return self.numbers.gaps(above=self.forgotten)


def books_of(records: Records, station: str = "") -> list[StationBooks]:
    """Go through all records once, in the order of the numbers.

    Args:
        records: The service's.
        station: The one to look at; all of them unless given.

    Raises:
        UnavailableError: The database is away.
    """
    found: dict[str, StationBooks] = {}
    last: tuple[str, int] | None = None
    known: set[str] = set()
    for row in _decisions(records, station):
        books = found.setdefault(row.station, StationBooks(row.station))
        if (row.station, row.sequence) != last:
            last, known = (row.station, row.sequence), set()
        elif row.inspection_id in known or row.rank == _LETTER:
            continue
        else:
            books.repeated += 1
        known.add(row.inspection_id)
        books.numbers.add(row.sequence, row.at)
        (books.dropped if row.rank == _DROP else books.judged)[row.what] += 1
    _complete(records, found)
    return [found[name] for name in sorted(found)]


_VERDICT, _DROP, _LETTER = range(3)


def _decisions(records: Records, station: str) -> Iterator[Any]:
    sources = (
        (INSPECTIONS, INSPECTIONS.c.outcome, _VERDICT),
        (DROPS, DROPS.c.reason, _DROP),
        (DEAD_LETTERS, sql.literal("unreadable"), _LETTER),
    )
    selects = []
    for table, what, rank in sources:
        columns = (table.c.station, table.c.sequence, table.c.inspection_id, what.label("what"))
        select = sql.select(*columns, sql.literal(rank).label("rank"), table.c.at).where(table.c.sequence.is_not(None))
        selects.append(select.where(table.c.station == station) if station else select)
    query = sql.union_all(*selects).order_by("station", "sequence", "rank")
    with records.reading() as connection:
        yield from connection.execution_options(yield_per=_ROWS_AT_ONCE).execute(query)


def _complete(records: Records, found: dict[str, StationBooks]) -> None:
    dead_letters = sql.select(DEAD_LETTERS.c.station, sql.func.count()).where(DEAD_LETTERS.c.sequence.is_(None))
    with records.reading() as connection:
        for station, count in connection.execute(dead_letters.group_by(DEAD_LETTERS.c.station)):
            if station in found:
                found[station].nameless = count
    for station, sequence in forgotten(records).items():
        if station in found:
            found[station].forgotten = sequence


def forgotten(records: Records) -> dict[str, int]:
    """Up to which number each station's records may have been deleted.

    Raises:
        UnavailableError: The database is away.
    """
    with records.reading() as connection:
        return {row.station: row.sequence for row in connection.execute(sql.select(FORGOTTEN))}


def decided_since(records: Records, at: float) -> Iterator[tuple[str, int, float]]:
    """Station, number and time of every decision made from a time on, in no order.

    Raises:
        UnavailableError: The database is away.
    """
    yield from _numbers(records, lambda table: table.c.at >= at)


def decided_between(records: Records, station: str, first: int, last: int) -> Iterator[tuple[str, int, float]]:
    """The same, for the numbers of one station between two, both included.

    Raises:
        UnavailableError: The database is away.
    """
    yield from _numbers(records, lambda table: (table.c.station == station) & table.c.sequence.between(first, last))


def _numbers(records: Records, condition: Any) -> Iterator[tuple[str, int, float]]:
    tables = (INSPECTIONS, DROPS, DEAD_LETTERS)
    with records.reading() as connection:
        streaming = connection.execution_options(yield_per=_ROWS_AT_ONCE)
        for table in tables:
            query = sql.select(table.c.station, table.c.sequence, table.c.at).where(condition(table))
            for row in streaming.execute(query.where(table.c.sequence.is_not(None))):
                yield row.station, row.sequence, row.at
