"""What the station still owes the service: durable rows that only a verdict or a receipt closes.

A row is born when its sequence number is reserved, before the exposure, and carries from `append` on the whole encoded
message, so that every resend is byte for byte the same. Every call commits to the disk before it returns.
"""

import json
import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from edge_node.ballast import Ballast
from edge_node.database import lock, open_database, translated
from edge_node.journal import JournalLine, write_line
from edge_node.rows import Closing, Kind, OutboxState, Row, Trigger
from wire_contract.errors import UnavailableError
from wire_contract.messages import Seconds, sha256_of

_log = logging.getLogger(__name__)

T = TypeVar("T")

_DROP_BYTES = 1024
"""What a reserved number may still need: a drop record with a short detail."""
_MIN_RESERVE_BYTES = 1024 * 1024
_RESERVE_SHARE = 20
_BALLAST_BYTES = 4 * 1024 * 1024
"""Room for a write-ahead log between two checkpoints, and for the pages it writes back."""


_FIELDS = {name: name for name in Row.__struct_fields__} | {"message_bytes": "coalesce(length(message), 0)"}
_SELECT = f"SELECT {', '.join(_FIELDS.values())} FROM inspections"  # noqa: S608  names of our own


class Outbox:
    """The rows of one station, in one SQLite file. Safe to use from every thread; only one process may open a file.

    Args:
        path: The file; made where missing.
        station: Whose it is; another station's file is refused.
        boot_id: Names this run of the edge node in every row it adds.
        clock_id: Names the clock of `Trigger.captured_monotonic`.
        budget_bytes: Frames are refused beyond this many bytes of messages. Drop records may use a twentieth more (at
            least 1 MiB), so that a part that could not be kept can still be told.
        journal_lines: How many closed inspections to remember.

    Raises:
        MisconfiguredError: The file is another station's, in use, damaged, or no outbox.
        UnavailableError: The disk is full or failing.
    """

    def __init__(
        self,
        path: Path,
        station: str,
        *,
        boot_id: str,
        clock_id: str,
        budget_bytes: int,
        journal_lines: int = 100_000,
    ) -> None:
        self._path, self._boot_id, self._clock_id = path, boot_id, clock_id
        self._budget_bytes = budget_bytes
        self._reserve_bytes = max(_MIN_RESERVE_BYTES, budget_bytes // _RESERVE_SHARE)
        self._journal_lines = journal_lines
        self._guard = threading.RLock()
        self._lock = lock(path)
        self._ballast = Ballast(path.with_name(path.name + ".ballast"), _BALLAST_BYTES)
        try:
            self._connection = open_database(path, station)
        except Exception:
            os.close(self._lock)
            raise
        count = "SELECT count(*), coalesce(sum(length(message)), 0), total(kind = 'reserved') FROM inspections"
        self._rows, self._bytes, reserved = self._connection.execute(count).fetchone()
        self._reserved = int(reserved)

    def close(self) -> None:
        """Give the file back; repeating it does nothing."""
        with self._guard:
            self._connection.close()
            if self._lock >= 0:
                os.close(self._lock)
            self._lock = -1

    def reserve(self, trigger: Trigger) -> Row:
        """Give a part the next sequence number, for ever; a part without an id is called after its number.

        Raises:
            UnavailableError: Not even a drop record would fit any more, or the disk is full.
        """

        def insert(connection: sqlite3.Connection) -> Row | None:
            sequence = connection.execute(
                "INSERT INTO inspections (inspection_id, part_id, boot_id, clock_id, captured_at, captured_monotonic) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (
                    trigger.inspection_id,
                    trigger.part_id or "",
                    self._boot_id,
                    self._clock_id,
                    trigger.captured_at,
                    trigger.captured_monotonic,
                ),
            ).lastrowid
            if trigger.part_id is None:
                connection.execute("UPDATE inspections SET part_id = ? WHERE sequence = ?", (str(sequence), sequence))
            return self._one(connection, "sequence", sequence)

        with self._guard:
            if self._bytes + (self._reserved + 1) * _DROP_BYTES > self._budget_bytes + self._reserve_bytes:
                raise UnavailableError(f"the outbox is full: {self._rows} rows wait, {self._bytes} bytes")
            row = self._commit(insert)
            assert row is not None
            self._rows += 1
            self._reserved += 1
        return row

    def append(self, row: Row, message: bytes, kind: Kind, *, payload_bytes: int = 0, stages: Seconds) -> None:
        """Keep what is to be sent for a reserved number, or replace what was kept.

        Raises:
            UnavailableError: A frame is over the budget, or the disk is full; the number stays reserved.
        """
        allowed = self._budget_bytes + (self._reserve_bytes if kind == "drop" else 0)
        values = (kind, message, sha256_of(message), payload_bytes, json.dumps(stages), row.sequence)

        def keep(connection: sqlite3.Connection) -> Row | None:
            before = self._one(connection, "sequence", row.sequence)
            if before and self._bytes - before.message_bytes + len(message) > allowed:
                raise UnavailableError(f"the outbox is full: {self._bytes} of {self._budget_bytes} bytes are used")
            connection.execute(
                "UPDATE inspections SET kind = ?, message = ?, sha256 = ?, payload_bytes = ?, stages = ? "
                "WHERE sequence = ?",
                values,
            )
            return before

        with self._guard:
            before = self._commit(keep, essential=kind == "drop")
            if before is not None:
                self._bytes += len(message) - before.message_bytes
                self._reserved -= before.kind == "reserved"

    def message(self, sequence: int) -> bytes | None:
        """The message of a row; None when the row is closed or only reserved."""
        with self._reading() as connection:
            found = connection.execute("SELECT message FROM inspections WHERE sequence = ?", (sequence,)).fetchone()
        return found[0] if found else None

    def pending(self) -> list[Row]:
        """All rows, oldest first, those only reserved included."""
        with self._reading() as connection:
            return [_row(values) for values in connection.execute(f"{_SELECT} ORDER BY sequence")]

    def row(self, inspection_id: str) -> Row | None:
        """The row of an inspection, unless it is closed or was never ours."""
        with self._reading() as connection:
            return self._one(connection, "inspection_id", inspection_id)

    def row_of_message(self, sha256: str) -> Row | None:
        """The row whose message has this digest."""
        with self._reading() as connection:
            return self._one(connection, "sha256", sha256)

    def claim_gate(self, inspection_id: str, action: str, grounds: str) -> bool:
        """Write down what the gate is about to do; False when it was already told.

        A part whose row is closed without moving the gate, a drop or a historical verdict, still has its deadline.
        """

        def claim(connection: sqlite3.Connection) -> bool:
            return any(
                connection.execute(
                    f"UPDATE {table} SET gate_action = ?, gate_grounds = ? "  # noqa: S608  names of our own
                    "WHERE inspection_id = ? AND gate_grounds = ''",
                    (action, grounds, inspection_id),
                ).rowcount
                for table in ("inspections", "journal")
            )

        return self._commit(claim, essential=True)

    def confirm(self, inspection_id: str, closing: Closing) -> JournalLine | None:
        """Close a row: its line goes to the journal and its message away, in one commit.

        Returns:
            The journal's line, whose gate action is the one claimed first; None when the row is already closed.
        """

        def close(connection: sqlite3.Connection) -> tuple[Row, JournalLine] | None:
            row = self._one(connection, "inspection_id", inspection_id)
            if row is None:
                return None
            line = _line(row, closing)
            write_line(connection, line, self._journal_lines)
            connection.execute("DELETE FROM inspections WHERE sequence = ?", (row.sequence,))
            return row, line

        with self._guard:
            closed = self._commit(close, essential=True)
            if closed is None:
                return None
            row, line = closed
            self._rows -= 1
            self._bytes -= row.message_bytes
            self._reserved -= row.kind == "reserved"
            if not self._ballast.held:
                self._shrink()
        return line

    @property
    def state(self) -> OutboxState:
        """How full it is."""
        with self._reading() as connection:
            oldest = connection.execute("SELECT captured_at FROM inspections ORDER BY sequence LIMIT 1").fetchone()
            return OutboxState(self._rows, self._bytes, self._budget_bytes, oldest[0] if oldest else None)

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._guard, translated(self._path):
            yield self._connection

    def _commit(self, change: Callable[[sqlite3.Connection], T], *, essential: bool = False) -> T:
        """Make a change that is on the disk when this returns, and undone when it raises.

        What empties the outbox or tells a drop is essential: on a full disk it throws off the ballast. Anything else
        waits until the ballast is whole again.
        """
        with self._guard:
            if not essential and not self._ballast.hold():
                raise UnavailableError(f"the disk of the outbox {self._path} is full")
            try:
                return self._transact(change)
            except UnavailableError:
                if not essential or not self._ballast.release():
                    raise
            _log.warning("the disk of the outbox %s is full: nothing is captured until it is emptied", self._path)
            return self._transact(change)

    def _transact(self, change: Callable[[sqlite3.Connection], T]) -> T:
        with translated(self._path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                result = change(self._connection)
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        return result

    def _shrink(self) -> None:
        """Give the pages of closed rows back to a full disk; where even that does not work, the next close tries."""
        with suppress(UnavailableError), translated(self._path):
            self._connection.execute("PRAGMA incremental_vacuum").fetchall()
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _one(self, connection: sqlite3.Connection, column: str, value: object) -> Row | None:
        found = connection.execute(f"{_SELECT} WHERE {column} = ?", (value,)).fetchone()
        return _row(found) if found else None


def _row(values: tuple[object, ...]) -> Row:
    fields = dict(zip(_FIELDS, values, strict=True))
    return msgspec.convert({**fields, "stages": json.loads(str(fields["stages"]))}, Row)


def _line(row: Row, closing: Closing) -> JournalLine:
    told = bool(row.gate_grounds)
    return JournalLine(
        sequence=row.sequence,
        inspection_id=row.inspection_id,
        part_id=row.part_id,
        boot_id=row.boot_id,
        captured_at=row.captured_at,
        outcome=closing.outcome,
        reason=closing.reason,
        latency_seconds=closing.latency_seconds,
        payload_bytes=row.payload_bytes,
        wire_bytes=row.message_bytes,
        sends=closing.sends,
        stages={**row.stages, **closing.stages},
        gate_action=row.gate_action if told else closing.gate_action,
        gate_grounds=row.gate_grounds if told else closing.gate_grounds,
    )
