"""Produced = judged + dropped: a station's numbers have no gaps, so what is missing between two of them is missed."""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from analytics_service.records.records import Records
from analytics_service.records.tables import DEAD_LETTERS, MARKS, OUTCOMES
from patchline.wire.errors import missing_extra

try:
    import sqlalchemy as sql
except ModuleNotFoundError as missing:  # pragma: no cover - the base install has no analytics
    raise missing_extra("sqlalchemy", "analytics") from missing


@dataclass(frozen=True, slots=True)
class Gap:
    """Numbers that are not on record between two that are.

    Attributes:
        first: The lowest missing number.
        last: The highest missing number.
        since: When the number after the gap was recorded, seconds since the epoch: the gap is at least that old.
    """

    first: int
    last: int
    since: float

    @property
    def parts(self) -> int:
        """How many numbers are missing."""
        return self.last - self.first + 1


@dataclass(slots=True)
class StationBooks:
    """What is on record of one station.

    Attributes:
        first: The lowest number on record; None where there is none.
        last: The highest one.
        judged: Parts by outcome. A damaged message counts as `unreadable` where nothing better is on record of its
            number: its station may have closed the part on that answer.
        dropped: Parts by reason.
        gaps: The numbers that are missing.
        repeated: Parts beyond the first that carry a number already used, as after an outbox was thrown away.
        nameless: Unreadable messages that did not say which number they were: one of them may be what is missing.
        forgotten: Numbers up to this one may have been deleted by retention and are not missed.
    """

    station: str
    first: int | None = None
    last: int | None = None
    judged: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    gaps: Sequence[Gap] = ()
    repeated: int = 0
    nameless: int = 0
    forgotten: int = 0


def books_of(records: Records, station: str = "") -> list[StationBooks]:
    """What is on record of each station.

    Args:
        records: The service's.
        station: The one to look at; all of them unless given.

    Raises:
        UnavailableError: The database is away.
    """
    found: dict[str, StationBooks] = {}
    with records.reading() as connection:
        for row in connection.execute(_here(_RESULTS, OUTCOMES, station)):
            books = found.setdefault(row.station, StationBooks(row.station))
            (books.dropped if row.kind == "drop" else books.judged)[row.result] += row.parts
        for row in connection.execute(_here(_NUMBERS, OUTCOMES, station)):
            books = found[row.station]
            books.first, books.last, books.repeated = row.first, row.last, row.parts - row.numbers
        for row in connection.execute(_here(_DAMAGED, DEAD_LETTERS, station)):
            books = found.setdefault(row.station, StationBooks(row.station))
            books.nameless = row.messages - row.named
        marks = {row.station: row.sequence for row in connection.execute(sql.select(MARKS))}
        for name, books in found.items():
            _count_damaged(connection, books)
            books.forgotten = marks.get(name, 0)
            books.gaps = gaps_of(connection, name, above=books.forgotten)
    return [found[name] for name in sorted(found) if found[name].first is not None]


_RESULTS = sql.select(OUTCOMES.c.station, OUTCOMES.c.kind, OUTCOMES.c.result, sql.func.count().label("parts")).group_by(
    OUTCOMES.c.station, OUTCOMES.c.kind, OUTCOMES.c.result
)

_NUMBERS = sql.select(
    OUTCOMES.c.station,
    sql.func.min(OUTCOMES.c.sequence).label("first"),
    sql.func.max(OUTCOMES.c.sequence).label("last"),
    sql.func.count().label("parts"),
    sql.func.count(OUTCOMES.c.sequence.distinct()).label("numbers"),
).group_by(OUTCOMES.c.station)

_DAMAGED = sql.select(
    DEAD_LETTERS.c.station,
    sql.func.count().label("messages"),
    sql.func.count(DEAD_LETTERS.c.sequence).label("named"),
).group_by(DEAD_LETTERS.c.station)


def gaps_of(
    connection: sql.Connection, station: str, *, above: int = 0, low: int = 0, high: int | None = None
) -> list[Gap]:
    """The numbers of a station that are missing between two on record, in one query.

    Args:
        connection: With the records.
        station: Whose numbers to look at.
        above: Numbers up to this one are not missed.
        low: Look at numbers on record from here on.
        high: Up to here; to the highest one unless given.
    """

    def following(column: sql.ColumnElement[Any]) -> sql.ColumnElement[Any]:
        return sql.func.lead(column).over(partition_by=OUTCOMES.c.station, order_by=OUTCOMES.c.sequence)

    numbers = sql.select(
        OUTCOMES.c.sequence,
        following(OUTCOMES.c.sequence).label("next"),
        following(OUTCOMES.c.recorded_at).label("since"),
    ).where(OUTCOMES.c.station == station, OUTCOMES.c.sequence >= low)
    if high is not None:
        numbers = numbers.where(OUTCOMES.c.sequence <= high)
    found = numbers.subquery()
    query = sql.select(found).where(found.c.next > found.c.sequence + 1, found.c.next > above + 1)
    gaps = [Gap(max(row.sequence, above) + 1, row.next - 1, row.since) for row in connection.execute(query)]
    return _without_damaged(connection, station, gaps)


def _here(query: Any, table: sql.Table, station: str) -> Any:
    return query.where(table.c.station == station) if station else query


def _without_damaged(connection: sql.Connection, station: str, gaps: Sequence[Gap]) -> list[Gap]:
    """The gaps without the numbers of damaged messages."""
    if not gaps:
        return []
    sequence = DEAD_LETTERS.c.sequence
    query = sql.select(sequence).where(
        DEAD_LETTERS.c.station == station,
        sequence.between(min(gap.first for gap in gaps), max(gap.last for gap in gaps)),
    )
    known = list(connection.execute(query.distinct().order_by(sequence)).scalars())
    return [rest for gap in gaps for rest in _split(gap, known)]


def _split(gap: Gap, known: Sequence[int]) -> list[Gap]:
    inside = known[bisect_left(known, gap.first) : bisect_right(known, gap.last)]
    edges = [gap.first - 1, *inside, gap.last + 1]
    return [Gap(low + 1, high - 1, gap.since) for low, high in pairwise(edges) if low + 1 <= high - 1]


def _count_damaged(connection: sql.Connection, books: StationBooks) -> None:
    """Count the damaged messages of whose number nothing else is on record."""
    same = (OUTCOMES.c.station == DEAD_LETTERS.c.station) & (OUTCOMES.c.sequence == DEAD_LETTERS.c.sequence)
    query = sql.select(DEAD_LETTERS.c.sequence).where(
        DEAD_LETTERS.c.station == books.station,
        DEAD_LETTERS.c.sequence.is_not(None),
        ~sql.exists().where(same),
    )
    numbers = list(connection.execute(query.distinct()).scalars())
    if numbers:
        books.judged["unreadable"] += len(numbers)
        books.first = min([*numbers, *([] if books.first is None else [books.first])])
        books.last = max([*numbers, *([] if books.last is None else [books.last])])
