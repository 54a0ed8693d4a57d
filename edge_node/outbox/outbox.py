"""What the station still owes the service: durable rows that only a verdict or a receipt closes.

A row is born when its sequence number is reserved, before the exposure, and carries from `append` on the whole encoded
message, so that every resend is byte for byte the same. Every call is on the disk before it returns: a frame with one
flush of a segment, everything else with one of the database, shared by all threads that ask at the same time.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from sqlite3 import Connection

import msgspec

from edge_node.outbox import row_table
from edge_node.outbox.ballast import Ballast
from edge_node.outbox.database import lock, open_database, open_reader, translated
from edge_node.outbox.frame_log import FrameLog
from edge_node.outbox.journal import JournalLine
from edge_node.outbox.rows import Closing, Kind, OutboxFullError, OutboxState, Row, Trigger
from edge_node.outbox.segments import Position
from edge_node.outbox.transactions import Transactions
from patchline.wire.errors import UnavailableError, UnreadableError
from patchline.wire.messages import Seconds, sha256_of

_DROP_BYTES = 1024  # what a reserved number may still need: a drop record with a short detail
_MIN_RESERVE_BYTES = 1024 * 1024
_RESERVE_SHARE = 20
_BALLAST_BYTES = 4 * 1024 * 1024  # for a write-ahead log between two checkpoints, and the pages it writes back
_MOST_DEFERRED = 64


class Outbox:
    """The rows of one station, in one SQLite file and the segments beside it. Safe to use from every thread.

    Args:
        path: The file; made where missing. Only one process may open it.
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
        self._guard, self._reading_guard = threading.Lock(), threading.Lock()
        self._fresh: dict[str, tuple[Row, Position]] = {}
        self._lock = lock(path)
        self._ballast = Ballast(path.with_name(path.name + ".ballast"), _BALLAST_BYTES)
        try:
            self._connection = open_database(path, station, make_room=self._ballast.release)
            with translated(path):
                self._log = FrameLog(path, self._connection)
            self._reader = open_reader(path)
        except BaseException as error:
            os.close(self._lock)
            if isinstance(error, OSError):
                raise UnavailableError(f"the segments of {path} cannot be read: {error.strerror}") from error
            raise
        self._transactions = Transactions(self._connection, path, self._ballast)
        totals = row_table.totals(self._connection)
        self._rows, self._bytes, self._reserved = totals.rows, totals.bytes, totals.reserved
        for row, position in self._log.found:
            self._account(size=row.message_bytes, reserved=-1)
            self._note_later(row, position)

    def close(self) -> None:
        """Give the file back; repeating it does nothing."""
        if self._lock < 0:
            return
        with suppress(UnavailableError):
            self._transactions.commit(_nothing, essential=True)
        self._log.close()
        with self._reading_guard:
            self._reader.close()
        self._connection.close()
        os.close(self._lock)
        self._lock = -1

    def reserve(self, trigger: Trigger) -> Row:
        """Give a part the next sequence number, for ever; a part without an id is called after its number.

        Raises:
            UnavailableError: Not even a drop record would fit any more, or the disk is full.
        """
        with self._guard:
            if self._bytes + (self._reserved + 1) * _DROP_BYTES > self._budget_bytes + self._reserve_bytes:
                raise UnavailableError(f"the outbox is full: {self._rows} rows wait, {self._bytes} bytes")
            self._rows += 1
            self._reserved += 1
        try:
            add = partial(row_table.add, trigger=trigger, boot_id=self._boot_id, clock_id=self._clock_id)
            return self._transactions.commit(add)
        except BaseException:
            self._account(rows=-1, reserved=-1)
            raise

    def append(self, row: Row, message: bytes, kind: Kind, *, payload_bytes: int = 0, stages: Seconds) -> None:
        """Keep the frame of a reserved number, or the drop record that replaces whatever was kept.

        Raises:
            OutboxFullError: A frame is over the budget; the number stays reserved.
            UnavailableError: The disk is full, or a drop is over what drops may use.
        """
        if kind == "drop":
            self._append_drop(row, message)
            return
        if not self._ballast.held:
            raise UnavailableError(f"the disk of the outbox {self._path} is full")
        kept = msgspec.structs.replace(
            row,
            kind="frame",
            message_bytes=len(message),
            sha256=sha256_of(message),
            payload_bytes=payload_bytes,
            stages=stages,
        )
        with self._guard:
            if self._bytes + len(message) > self._budget_bytes:
                raise OutboxFullError(f"the outbox is full: {self._bytes} of {self._budget_bytes} bytes are used")
            self._bytes += len(message)
            self._reserved -= 1
        try:
            self._log.append(kept, message, self._note_later)
        except BaseException:
            self._account(size=-len(message), reserved=1)
            raise
        if self._transactions.deferred > _MOST_DEFERRED:
            with suppress(UnavailableError):
                self._transactions.commit(_nothing)

    def replace_frames(self, drops: list[tuple[Row, bytes]]) -> list[Row]:
        """Let frames give way to their drop records, all in one commit; those that were still frames.

        Raises:
            UnavailableError: The disk is full or failing; nothing was replaced.
        """
        replaced = self._transactions.commit(partial(row_table.replace_frames, drops=drops), essential=True)
        for row, message, position in replaced:
            self._account(size=len(message) - row.message_bytes)
            self._release(position)
        return [row for row, _, _ in replaced]

    def message(self, sequence: int) -> bytes | None:
        """The message of a row; None when the row is closed or only reserved.

        Raises:
            UnreadableError: It was damaged on this disk.
        """
        message, position = self._whereabouts(sequence)
        while position is not None:
            try:
                return self._log.read(position, sequence)
            except UnreadableError:
                before = position
                message, position = self._whereabouts(sequence)
                if position == before:
                    raise
        return message

    def pending(self) -> list[Row]:
        """All rows, oldest first, those only reserved included."""
        return self._transactions.commit(row_table.every, essential=True)

    def frames(self, *, after: int = 0, limit: int = 100) -> list[Row]:
        """The oldest rows that hold a frame, their numbers above `after`; the very newest ones may be missing."""
        with self._reading() as connection:
            return row_table.frames(connection, after, limit)

    def row(self, inspection_id: str) -> Row | None:
        """The row of an inspection, unless it is closed or was never ours."""
        return self._find("inspection_id", inspection_id)

    def row_of_message(self, sha256: str) -> Row | None:
        """The row whose message has this digest."""
        return self._find("sha256", sha256)

    def claim_gate(self, inspection_id: str, action: str, grounds: str) -> bool:
        """Write down what the gate is about to do; False when it was already told.

        A part whose row is closed without moving the gate, a drop or a historical verdict, still has its deadline.
        """
        work = partial(row_table.claim_gate, inspection_id=inspection_id, action=action, grounds=grounds)
        return self._transactions.commit(work, essential=True)

    def miss_gate(self, inspection_id: str) -> bool:
        """Note that the gate did not do what was claimed."""
        return self._transactions.commit(partial(row_table.miss_gate, inspection_id=inspection_id), essential=True)

    def miss_gates(self) -> int:
        """Write down that parts which an earlier boot closed went by, where it did not live to move their gate."""
        return self._transactions.commit(row_table.miss_gates, essential=True)

    def confirm(self, inspection_id: str, closing: Closing) -> JournalLine | None:
        """Close a row: its line goes to the journal and its message away, in one commit.

        Returns:
            The journal's line, whose gate action is the one claimed first; None when the row is already closed.
        """
        work = partial(row_table.close, inspection_id=inspection_id, closing=closing, journal_lines=self._journal_lines)
        closed = self._transactions.commit(work, essential=True)
        if closed is None:
            return None
        row, line, position = closed
        self._account(rows=-1, size=-row.message_bytes, reserved=-int(row.kind == "reserved"))
        self._release(position)
        if not self._ballast.held:
            with suppress(UnavailableError):
                self._transactions.shrink()
        elif position is not None:
            self._log.tidy(self._bytes, self._transactions)
        return line

    @property
    def state(self) -> OutboxState:
        """How full it is."""
        with self._reading() as connection:
            return OutboxState(self._rows, self._bytes, self._budget_bytes, row_table.oldest_captured_at(connection))

    @property
    def fill(self) -> float:
        """Bytes of messages as a share of the budget."""
        return self._bytes / self._budget_bytes

    def _note_later(self, row: Row, position: Position) -> None:
        """The frame is on the disk: its row can wait for the next transaction."""
        self._fresh[row.inspection_id] = row, position
        self._transactions.defer(
            partial(row_table.put_frame, row=row, position=position), partial(self._fresh.pop, row.inspection_id, None)
        )

    def _append_drop(self, row: Row, message: bytes) -> None:
        allowed = self._budget_bytes + self._reserve_bytes

        def keep(connection: Connection) -> tuple[Row, Position | None] | None:
            replaced = row_table.put_drop(connection, row.sequence, message)
            if replaced is not None and self._bytes - replaced[0].message_bytes + len(message) > allowed:
                raise UnavailableError(f"the outbox is full: {self._bytes} of {self._budget_bytes} bytes are used")
            return replaced

        replaced = self._transactions.commit(keep, essential=True)
        if replaced is not None:
            before, position = replaced
            self._account(size=len(message) - before.message_bytes, reserved=-int(before.kind == "reserved"))
            self._release(position)

    def _find(self, column: str, value: str) -> Row | None:
        for row, _ in list(self._fresh.values()):
            if getattr(row, column) == value:
                return row
        with self._reading() as connection:
            return row_table.one(connection, column, value)

    def _whereabouts(self, sequence: int) -> tuple[bytes | None, Position | None]:
        """A row's message, or where it is now: it may be closed or copied elsewhere at any time."""
        for row, position in list(self._fresh.values()):
            if row.sequence == sequence:
                return None, position
        with self._reading() as connection:
            return row_table.message_of(connection, sequence)

    def _account(self, *, rows: int = 0, size: int = 0, reserved: int = 0) -> None:
        with self._guard:
            self._rows += rows
            self._bytes += size
            self._reserved += reserved

    def _release(self, position: Position | None) -> None:
        if position is not None:
            self._log.release(position, eagerly=not self._ballast.held)

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._reading_guard, translated(self._path):
            yield self._reader


def _nothing(_: Connection) -> None:
    """A commit of what was deferred."""
