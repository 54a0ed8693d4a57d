"""What has been decided: one outcome for each part, and the messages that could not be read.

SQLite by default, or PostgreSQL. The inspection id is the key of an outcome, so the first writer wins. Bodies are kept
byte for byte as published: a part that comes twice gets the same answer twice. A batch is one transaction.

A damaged message is no outcome. It is kept under the digest of its bytes, because the edge node may still hold the
undamaged frame, and a damaged copy must not end that part.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from operator import attrgetter

from analytics_service.records.deletion import delete_older, delete_oldest, delete_outcomes
from analytics_service.records.engine import open_engine, translated
from analytics_service.records.outcomes import (
    DeadLetter,
    Mark,
    PartOutcome,
    Recalled,
    RecordedOutcome,
    Stored,
    row_of_letter,
    row_of_outcome,
)
from analytics_service.records.tables import DEAD_LETTERS, MARKS, OUTCOMES, create_tables, insert_once
from patchline.wire.errors import missing_extra

try:
    import sqlalchemy as sql
except ModuleNotFoundError as missing:  # pragma: no cover - the base install has no analytics
    raise missing_extra("sqlalchemy", "analytics") from missing


class Records:
    """The service's records, shared by all workers that serve the same stations.

    Args:
        url: SQLAlchemy URL such as `sqlite:///records.db` or `postgresql+psycopg://user@host/name`.
        max_letter_bytes: How much of an unreadable message is kept.

    Raises:
        MisconfiguredError: The URL is not one, its driver is not installed, or the database has another form.
        UnavailableError: The database cannot be reached or written.
    """

    def __init__(self, url: str, *, max_letter_bytes: int = 1024 * 1024) -> None:
        self._max_letter_bytes = max_letter_bytes
        self._engine = open_engine(url)
        try:
            with translated():
                create_tables(self._engine)
        except BaseException:
            self._engine.dispose()
            raise

    def recall(self, *, inspection_ids: Sequence[str], digests: Sequence[str], stations: Sequence[str]) -> Recalled:
        """What is on record of a batch.

        Args:
            inspection_ids: The parts of the batch.
            digests: Of its unreadable messages.
            stations: All stations of the batch.

        Raises:
            UnavailableError: The database is away.
        """
        with self.reading() as connection:
            outcomes = _outcomes_of(connection, inspection_ids)
            letters = _letters_of(connection, digests)
            # Asked after the outcomes: an outcome that retention deletes in between is found by its mark.
            query = sql.select(MARKS).where(MARKS.c.station.in_(set(stations)))
            marks = {row.station: Mark(row.sequence, row.captured_at) for row in connection.execute(query)}
        return Recalled(outcomes, letters, marks)

    def verdicts_of(self, inspection_ids: Sequence[str]) -> dict[str, bytes]:
        """The published bytes of those parts that ended with a verdict, `unreadable` included.

        Raises:
            UnavailableError: The database is away.
        """
        with self.reading() as connection:
            found = _outcomes_of(connection, inspection_ids)
        return {name: outcome.body for name, outcome in found.items() if outcome.kind != "drop"}

    @contextmanager
    def reading(self) -> Iterator[sql.Connection]:
        """A connection to ask questions of one's own.

        Raises:
            UnavailableError: The database is away.
        """
        with translated(), self._engine.connect() as connection:
            yield connection

    def store(self, outcomes: Sequence[PartOutcome], letters: Sequence[DeadLetter] = ()) -> Stored:
        """Record a batch in one transaction; the first outcome of a part stands.

        Returns:
            For every part and every unreadable message what is on record now, whoever recorded it.

        Raises:
            UnavailableError: The database is away or full; nothing of the batch has been recorded.
            UnreadableError: The database does not take a value (`database`); nothing has been recorded.
        """
        with translated(), self._engine.begin() as connection:
            fresh = _insert_outcomes(connection, outcomes)
            wanted = [letter for letter in letters if not letter.ends_part or letter.inspection_id in fresh]
            fresh_letters = self._insert_letters(connection, wanted)
            found = _outcomes_of(connection, [outcome.inspection_id for outcome in outcomes])
            answers = _letters_of(connection, [letter.received_sha256 for letter in letters])
        # A row that was there when ours was refused, and is not there now, was deleted by retention.
        gone = RecordedOutcome("forgotten", b"")
        standing = {outcome.inspection_id: found.get(outcome.inspection_id, gone) for outcome in outcomes}
        return Stored(standing, answers, fresh, fresh_letters)

    def forget(self, *, older_than: float) -> int:
        """Delete every record made before a time; a mark for each station says up to where.

        Args:
            older_than: Seconds since the epoch. Keep records longer than any outbox may send a part again.

        Returns:
            How many outcomes and dead letters are gone.

        Raises:
            UnavailableError: The database is away.
        """
        with translated():
            return delete_outcomes(self._engine, older_than) + delete_older(self._engine, DEAD_LETTERS, older_than)

    def bound_dead_letters(self, keep: int) -> int:
        """Delete the oldest dead letters beyond a number of them; returns how many are gone.

        Raises:
            UnavailableError: The database is away.
        """
        with translated():
            return delete_oldest(self._engine, DEAD_LETTERS, keep)

    def counts(self) -> dict[str, int]:
        """How many verdicts, drops, unreadable parts and dead letters are on record.

        Raises:
            UnavailableError: The database is away.
        """
        kinds = sql.select(OUTCOMES.c.kind, sql.func.count()).group_by(OUTCOMES.c.kind)
        with self.reading() as connection:
            found = {row[0]: int(row[1]) for row in connection.execute(kinds)}
            letters = connection.execute(sql.select(sql.func.count()).select_from(DEAD_LETTERS)).scalar_one()
        return {
            "verdicts": found.get("verdict", 0),
            "drops": found.get("drop", 0),
            "unreadable": found.get("unreadable", 0),
            "dead_letters": letters,
        }

    def close(self) -> None:
        """Close the database."""
        self._engine.dispose()

    def _insert_letters(self, connection: sql.Connection, letters: Sequence[DeadLetter]) -> frozenset[tuple[str, str]]:
        if not letters:
            return frozenset()
        # In one order for all workers: two that hold each other's rows would wait for each other.
        once = {letter.key: letter for letter in reversed(letters)}
        rows = [row_of_letter(once[key], self._max_letter_bytes) for key in sorted(once)]
        statement = insert_once(connection, DEAD_LETTERS)
        inserted = connection.execute(statement.returning(DEAD_LETTERS.c.received_sha256, DEAD_LETTERS.c.station), rows)
        return frozenset((digest, station) for digest, station in inserted)


def _insert_outcomes(connection: sql.Connection, outcomes: Sequence[PartOutcome]) -> frozenset[str]:
    """Insert what is not there yet; the ids of the parts whose outcome this is.

    An outcome that another worker has not committed yet is waited for.
    """
    if not outcomes:
        return frozenset()
    once = {outcome.inspection_id: outcome for outcome in reversed(outcomes)}
    # In one order for all workers: two that hold each other's rows would wait for each other.
    rows = [row_of_outcome(outcome) for outcome in sorted(once.values(), key=attrgetter("inspection_id"))]
    statement = insert_once(connection, OUTCOMES).returning(OUTCOMES.c.inspection_id)
    return frozenset(connection.execute(statement, rows).scalars())


def _outcomes_of(connection: sql.Connection, inspection_ids: Sequence[str]) -> dict[str, RecordedOutcome]:
    if not inspection_ids:
        return {}
    query = sql.select(OUTCOMES.c.inspection_id, OUTCOMES.c.kind, OUTCOMES.c.body)
    rows = connection.execute(query.where(OUTCOMES.c.inspection_id.in_(inspection_ids)))
    return {row.inspection_id: RecordedOutcome(row.kind, bytes(row.body)) for row in rows}


def _letters_of(connection: sql.Connection, digests: Sequence[str]) -> dict[tuple[str, str], bytes]:
    if not digests:
        return {}
    query = sql.select(DEAD_LETTERS.c.received_sha256, DEAD_LETTERS.c.station, DEAD_LETTERS.c.answer)
    rows = connection.execute(query.where(DEAD_LETTERS.c.received_sha256.in_(digests)))
    return {(row.received_sha256, row.station): bytes(row.answer) for row in rows}
