"""What has been decided, for ever: the unique inspection id in here is what makes a verdict the only one.

SQLite by default, any database SQLAlchemy knows by URL. Verdicts are kept byte for byte as published, so that a part
that comes twice gets the same answer twice. A micro-batch is one transaction.

An unreadable message is kept apart, under the digest of its bytes: the edge node may still hold the undamaged frame,
and that frame's verdict must not be shut out by a damaged copy of it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from analytics_service.forgetting import delete_oldest, note_forgotten
from analytics_service.tables import (
    DEAD_LETTERS,
    DROPS,
    INSPECTIONS,
    create_tables,
    insert_once,
    open_engine,
)
from wire_contract.errors import UnavailableError
from wire_contract.messages import DropMessage, DropReason, Verdict

try:
    import sqlalchemy as sql
    from sqlalchemy.exc import SQLAlchemyError
except ModuleNotFoundError as missing:  # pragma: no cover - the base install has no analytics
    from wire_contract.errors import missing_extra

    raise missing_extra("sqlalchemy", "analytics") from missing


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict and the bytes it is published as."""

    verdict: Verdict
    encoded: bytes


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An unreadable message: its bytes, its topic, and the verdict that says what is wrong with it.

    Attributes:
        identified: The envelope could be read, so the verdict names the part the message claims to be about.
    """

    topic: str
    received: bytes
    code: str
    judged: Judged
    identified: bool


@dataclass(frozen=True, slots=True)
class Decisions:
    """What one micro-batch decided, to be recorded together."""

    judged: list[Judged] = field(default_factory=list)
    dropped: list[tuple[DropMessage, float]] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Standing:
    """The published bytes that stand, whoever decided first.

    Attributes:
        verdicts: By inspection id.
        letters: By digest and topic of the unreadable message.
    """

    verdicts: dict[str, bytes] = field(default_factory=dict)
    letters: dict[tuple[str, str], bytes] = field(default_factory=dict)


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
        with _translated():
            create_tables(self._engine)

    def verdicts_of(self, inspection_ids: Sequence[str]) -> dict[str, bytes]:
        """The published bytes of those parts that have been judged already.

        Raises:
            UnavailableError: The database is away.
        """
        if not inspection_ids:
            return {}
        with _translated(), self._engine.connect() as connection:
            return _standing(connection, inspection_ids)

    def drop_reasons_of(self, inspection_ids: Sequence[str]) -> dict[str, DropReason]:
        """Why those parts that were told as drops were dropped.

        Raises:
            UnavailableError: The database is away.
        """
        if not inspection_ids:
            return {}
        query = sql.select(DROPS.c.inspection_id, DROPS.c.reason).where(DROPS.c.inspection_id.in_(inspection_ids))
        with self.reading() as connection:
            return {row.inspection_id: row.reason for row in connection.execute(query)}

    @contextmanager
    def reading(self) -> Iterator[sql.Connection]:
        """A connection to ask questions of one's own.

        Raises:
            UnavailableError: The database is away.
        """
        with _translated(), self._engine.connect() as connection:
            yield connection

    def store(self, decisions: Decisions) -> Standing:
        """Record a micro-batch in one transaction; the first decision about a part stands.

        Returns:
            For everything judged or unreadable the bytes to publish: ours, or what another worker stored before.

        Raises:
            UnavailableError: The database is away or full; nothing of the batch has been recorded.
        """
        rows = {
            INSPECTIONS: [_judged_row(judged) for judged in decisions.judged],
            DROPS: [_drop_row(drop, at) for drop, at in decisions.dropped],
            DEAD_LETTERS: [_letter_row(letter, self._max_letter_bytes) for letter in decisions.dead],
        }
        with _translated(), self._engine.begin() as connection:
            for table, new in rows.items():
                if new:
                    # In one order for all workers: two that hold each other's parts would wait for each other.
                    connection.execute(insert_once(self._engine, table), sorted(new, key=itemgetter(*_key_of(table))))
            return Standing(
                _standing(connection, [judged.verdict.inspection_id for judged in decisions.judged]),
                _standing_letters(connection, decisions.dead),
            )

    def forget(self, *, older_than: float) -> int:
        """Delete every record made before a time, a few hundred rows a transaction.

        Args:
            older_than: Seconds since the epoch. Keep records longer than any outbox may send a part again.

        Returns:
            How many rows are gone.

        Raises:
            UnavailableError: The database is away.
        """
        with _translated():
            note_forgotten(self._engine, older_than)
            return sum(
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


def _key_of(table: sql.Table) -> list[str]:
    return [column.name for column in table.primary_key.columns]


def _standing(connection: sql.Connection, inspection_ids: Sequence[str]) -> dict[str, bytes]:
    query = sql.select(INSPECTIONS.c.inspection_id, INSPECTIONS.c.verdict)
    rows = connection.execute(query.where(INSPECTIONS.c.inspection_id.in_(inspection_ids)))
    return {row.inspection_id: bytes(row.verdict) for row in rows}


def _standing_letters(connection: sql.Connection, letters: Sequence[DeadLetter]) -> dict[tuple[str, str], bytes]:
    if not letters:
        return {}
    digests = [letter.judged.verdict.received_sha256 for letter in letters]
    query = sql.select(DEAD_LETTERS.c.received_sha256, DEAD_LETTERS.c.topic, DEAD_LETTERS.c.verdict)
    rows = connection.execute(query.where(DEAD_LETTERS.c.received_sha256.in_(digests)))
    return {(row.received_sha256, row.topic): bytes(row.verdict) for row in rows}


def _judged_row(judged: Judged) -> dict[str, Any]:
    verdict = judged.verdict
    return {
        "inspection_id": verdict.inspection_id,
        "station": verdict.station,
        "boot_id": verdict.boot_id,
        "sequence": verdict.sequence,
        "part_id": verdict.part_id,
        "outcome": verdict.outcome,
        "score": verdict.score,
        "historical": verdict.historical,
        "verdict": judged.encoded,
        "at": verdict.judged_at,
    }


def _drop_row(drop: DropMessage, at: float) -> dict[str, Any]:
    return {
        "inspection_id": drop.inspection_id,
        "station": drop.station,
        "boot_id": drop.boot_id,
        "sequence": drop.sequence,
        "part_id": drop.part_id,
        "reason": drop.reason,
        "detail": drop.detail,
        "at": at,
    }


def _letter_row(letter: DeadLetter, max_bytes: int) -> dict[str, Any]:
    verdict = letter.judged.verdict
    return {
        "received_sha256": verdict.received_sha256,
        "topic": letter.topic,
        "station": verdict.station,
        "inspection_id": verdict.inspection_id,
        "sequence": verdict.sequence if letter.identified else None,
        "code": letter.code,
        "reason": verdict.reason,
        "received_bytes": len(letter.received),
        "received": letter.received[:max_bytes],
        "verdict": letter.judged.encoded,
        "at": verdict.judged_at,
    }


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        # SQLAlchemy's own sentence repeats the whole statement with its parameters, pictures included.
        raise UnavailableError(f"the records cannot be used: {getattr(error, 'orig', None) or error}") from error
