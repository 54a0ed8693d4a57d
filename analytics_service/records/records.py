"""What has been decided, for ever: the unique inspection id in here is what makes a part's end the only one.

SQLite by default, any database SQLAlchemy knows by URL. Verdicts are kept byte for byte as published, so that a part
that comes twice gets the same answer twice. A micro-batch is one transaction.

An unreadable message is kept apart, under the digest of its bytes: the edge node may still hold the undamaged frame,
and that frame's verdict must not be shut out by a damaged copy of it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from operator import itemgetter

from analytics_service.records.decisions import DeadLetter, Decisions, RecordedOutcomes, letter_row
from analytics_service.records.deletion import delete_oldest, forget_ends, note_forgotten
from analytics_service.records.migration import create_tables
from analytics_service.records.recorded_outcomes import reasons_of, record_ends, verdicts_of
from analytics_service.records.tables import (
    DEAD_LETTERS,
    DROPS,
    INSPECTIONS,
    insert_once,
    open_engine,
)
from patchline.wire.errors import UnavailableError
from patchline.wire.messages import DropReason

try:
    import sqlalchemy as sql
    from sqlalchemy.exc import SQLAlchemyError
except ModuleNotFoundError as missing:  # pragma: no cover - the base install has no analytics
    from patchline.wire.errors import missing_extra

    raise missing_extra("sqlalchemy", "analytics") from missing


class Records:
    """The service's memory, shared by all workers that serve the same stations.

    Args:
        url: SQLAlchemy URL such as `sqlite:///records.db` or `postgresql+psycopg://user@host/name`.
        max_letter_bytes: How much of an unreadable message is kept.

    Raises:
        MisconfiguredError: The URL is not one, or its driver is not installed.
        UnavailableError: The database cannot be reached or written.
    """

    def __init__(self, url: str, *, max_letter_bytes: int = 1024 * 1024) -> None:
        self._max_letter_bytes = max_letter_bytes
        self._engine = open_engine(url)
        try:
            with _translated():
                create_tables(self._engine)
        except BaseException:
            self._engine.dispose()
            raise

    def verdicts_of(self, inspection_ids: Sequence[str]) -> dict[str, bytes]:
        """The published bytes of those parts that have been judged already.

        Raises:
            UnavailableError: The database is away.
        """
        if not inspection_ids:
            return {}
        with _translated(), self._engine.connect() as connection:
            return verdicts_of(connection, inspection_ids)

    def drop_reasons_of(self, inspection_ids: Sequence[str]) -> dict[str, DropReason]:
        """Why those parts that were told as drops were dropped.

        Raises:
            UnavailableError: The database is away.
        """
        if not inspection_ids:
            return {}
        with self.reading() as connection:
            return reasons_of(connection, inspection_ids)

    def letters_of(self, digests: Sequence[str]) -> dict[tuple[str, str], bytes]:
        """The published bytes for those unreadable messages that have come before, by digest and station.

        Raises:
            UnavailableError: The database is away.
        """
        if not digests:
            return {}
        query = sql.select(DEAD_LETTERS.c.received_sha256, DEAD_LETTERS.c.station, DEAD_LETTERS.c.verdict)
        oldest_last = query.where(DEAD_LETTERS.c.received_sha256.in_(digests)).order_by(DEAD_LETTERS.c.at.desc())
        with self.reading() as connection:
            rows = connection.execute(oldest_last).all()
        return {(row.received_sha256, row.station): bytes(row.verdict) for row in rows}

    @contextmanager
    def reading(self) -> Iterator[sql.Connection]:
        """A connection to ask questions of one's own.

        Raises:
            UnavailableError: The database is away.
        """
        with _translated(), self._engine.connect() as connection:
            yield connection

    def store(self, decisions: Decisions) -> RecordedOutcomes:
        """Record a micro-batch in one transaction; the first end of a part stands, be it a verdict or a drop.

        Returns:
            For everything decided what to publish: our end of it, or the one that another worker recorded before.

        Raises:
            UnavailableError: The database is away or full; nothing of the batch has been recorded.
        """
        dead_letters = [letter_row(letter, self._max_letter_bytes) for letter in decisions.dead]
        # In one order for all workers: two that hold each other's letters would wait for each other.
        dead_letters.sort(key=itemgetter("received_sha256", "topic"))
        with _translated(), self._engine.begin() as connection:
            standing = record_ends(self._engine, connection, decisions)
            if dead_letters:
                connection.execute(insert_once(self._engine, DEAD_LETTERS), dead_letters)
            return replace(standing, dead_letters=_standing_letters(connection, decisions.dead))

    def forget(self, *, older_than: float) -> int:
        """Delete every record made before a time, a few hundred rows a transaction.

        Args:
            older_than: Seconds since the epoch. Keep records longer than any outbox may send a part again.

        Returns:
            How many verdicts, drops and unreadable messages are gone.

        Raises:
            UnavailableError: The database is away.
        """
        with _translated():
            note_forgotten(self._engine, older_than)
            return forget_ends(self._engine, older_than) + sum(
                # Of verdicts and drops only those are left that an older patchline recorded without admitting them.
                delete_oldest(self._engine, table, table.c.at < older_than)
                for table in (INSPECTIONS, DROPS, DEAD_LETTERS)
            )

    def bound_dead_letters(self, keep: int) -> int:
        """Delete the oldest unreadable messages beyond a number of them; returns how many are gone.

        Raises:
            UnavailableError: The database is away.
        """
        with _translated():
            with self._engine.connect() as connection:
                ranked = sql.select(DEAD_LETTERS.c.at).order_by(DEAD_LETTERS.c.at.desc()).offset(keep).limit(1)
                newest_excess = connection.execute(ranked).scalar()
            if newest_excess is None:
                return 0
            return delete_oldest(self._engine, DEAD_LETTERS, DEAD_LETTERS.c.at <= newest_excess)

    def counts(self) -> dict[str, int]:
        """How many inspections, drops and dead letters are on record.

        Raises:
            UnavailableError: The database is away.
        """
        with _translated(), self._engine.connect() as connection:
            return {
                table.name: int(connection.execute(sql.select(sql.func.count()).select_from(table)).scalar_one())
                for table in (INSPECTIONS, DROPS, DEAD_LETTERS)
            }

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()


def _standing_letters(connection: sql.Connection, dead_letters: Sequence[DeadLetter]) -> dict[tuple[str, str], bytes]:
    if not dead_letters:
        return {}
    digests = [letter.judged.verdict.received_sha256 for letter in dead_letters]
    query = sql.select(DEAD_LETTERS.c.received_sha256, DEAD_LETTERS.c.topic, DEAD_LETTERS.c.verdict)
    rows = connection.execute(query.where(DEAD_LETTERS.c.received_sha256.in_(digests)))
    return {(row.received_sha256, row.topic): bytes(row.verdict) for row in rows}


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        # SQLAlchemy's own sentence repeats the whole statement with its parameters, pictures included.
        raise UnavailableError(f"the records cannot be used: {getattr(error, 'orig', None) or error}") from error
