"""Sets what a service has on record against the numbers its stations gave out; pure, the clocks come in as numbers."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

import msgspec

from analytics_service.audit.reconciliation import Gap, StationBooks
from edge_node.outbox.journal import EdgeBooks


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """One station, reconciled: produced = judged + dropped, and the rest.

    Attributes:
        first: The lowest number looked at; None where nothing is on record.
        last: The highest one: on record, or given out by the edge node where its outbox was looked at.
        judged: Parts by outcome.
        dropped: Parts by reason.
        waiting: Numbers not on record that wait in the edge node's outbox.
        told_at_edge: Numbers not on record that the edge node's journal calls closed, by outcome.
        recent: Numbers missing for less than the grace.
        unaccounted: Numbers missing for longer, as runs of first and last.
        repeated: Parts beyond the first that carry a number already used.
        nameless: Unreadable messages that did not say which number they were.
        forgotten: Numbers up to this one may have been deleted by retention.
        edge_known: The edge node's outbox was looked at.
    """

    station: str
    first: int | None
    last: int | None
    judged: dict[str, int]
    dropped: dict[str, int]
    waiting: int = 0
    told_at_edge: dict[str, int] = {}
    recent: int = 0
    unaccounted: tuple[tuple[int, int], ...] = ()
    repeated: int = 0
    nameless: int = 0
    forgotten: int = 0
    edge_known: bool = False

    @property
    def unaccounted_parts(self) -> int:
        """How many parts have no known outcome."""
        return sum(last - first + 1 for first, last in self.unaccounted)


def reconcile(
    books: Sequence[StationBooks], edges: Iterable[EdgeBooks], *, now: float, grace_seconds: float
) -> list[Account]:
    """An account for each station.

    Args:
        books: What is on record.
        edges: Outboxes that were looked at, after the records were.
        now: Seconds since the epoch.
        grace_seconds: How long a number may be missing where the edge node's own word is not at hand.
    """
    known = {edge.station: edge for edge in edges}
    stations = {each.station: each for each in books}
    for station in known:
        stations.setdefault(station, StationBooks(station))
    return [_account(stations[name], known.get(name), now - grace_seconds) for name in sorted(stations)]


def _account(books: StationBooks, edge: EdgeBooks | None, before: float) -> Account:
    waiting, recent = 0, 0
    told: Counter[str] = Counter()
    missing: list[tuple[int, int]] = []
    for gap in _gaps(books, edge):
        if edge is None and gap.since >= before:
            recent += gap.parts
            continue
        held = [number for number in edge.waiting if gap.first <= number <= gap.last] if edge else []
        closed = [number for number in edge.closed if gap.first <= number <= gap.last] if edge else []
        waiting += len(held)
        told.update(edge.closed[number] for number in closed if edge)
        missing += _between(gap, sorted({*held, *closed}))
    return Account(
        station=books.station,
        first=books.first if edge is None else books.forgotten + 1,
        last=books.last if edge is None else max(edge.last, books.last or 0),
        judged=dict(sorted(books.judged.items())),
        dropped=dict(sorted(books.dropped.items())),
        waiting=waiting,
        told_at_edge=dict(sorted(told.items())),
        recent=recent,
        unaccounted=tuple(missing),
        repeated=books.repeated,
        nameless=books.nameless,
        forgotten=books.forgotten,
        edge_known=edge is not None,
    )


def _gaps(books: StationBooks, edge: EdgeBooks | None) -> list[Gap]:
    """What is missing between numbers on record; with the edge node's word, also below the first and above the last."""
    gaps = books.gaps
    if edge is None:
        return [*gaps]
    lowest, highest = books.first, books.last
    below = Gap(books.forgotten + 1, edge.last if lowest is None else lowest - 1, 0.0)
    above = Gap((highest if highest is not None else edge.last) + 1, edge.last, 0.0)
    return [gap for gap in (below, *gaps, above) if gap.first <= gap.last]


def _between(gap: Gap, known: Sequence[int]) -> list[tuple[int, int]]:
    """The runs of a gap's numbers that are not known; a gap may be as long as a number is large."""
    edges = (gap.first - 1, *known, gap.last + 1)
    return [(low + 1, high - 1) for low, high in pairwise(edges) if low + 1 <= high - 1]
