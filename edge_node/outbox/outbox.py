"""Durable store-and-forward queue of a station. A row is deleted only when its verdict or drop receipt arrives.

A row is added when its number is reserved, before the exposure. From `append` on it has the whole encoded message, so
that every resend is byte for byte the same. Each call is one transaction and is on the disk before it returns.
"""

import os
import sqlite3
from functools import partial
from pathlib import Path

from edge_node.outbox import number_mark, steps
from edge_node.outbox.database import lock
from edge_node.outbox.journal import JournalLine
from edge_node.outbox.rows import Closing, Kind, OutboxState, Row, Trigger
from edge_node.outbox.steps import Totals
from edge_node.outbox.store import Store
from patchline.wire.errors import UnreadableError
from patchline.wire.messages import Seconds, sha256_of

_MIN_MARGIN_BYTES = 1024 * 1024
_MARGIN_SHARE = 20
_MOST_UNDECIDED = 10_000


class Outbox:
    """The rows of one station, in one SQLite file. Safe to use from every thread.

    A file that turns out to be damaged is set aside by name, and a new one is used: what it held is lost to the line,
    numbers go on. A file that somebody deletes or replaces takes nothing more until the edge node is restarted.

    Args:
        path: The file; made where missing. Only one process may open it.
        station: Its owner; another station's file is refused.
        boot_id: Names this run of the edge node in every row it adds.
        clock_id: Names the clock of `Trigger.captured_monotonic`.
        budget_bytes: Frames are refused beyond this many bytes of messages. Drop records may use a twentieth more (at
            least 1 MiB), so that a part that could not be kept can still be recorded.
        journal_lines: How many closed inspections to remember.

    Raises:
        MisconfiguredError: The file is another station's, of another patchline, or no outbox.
        UnavailableError: The disk is full or failing, or another process has the file.
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
        self._budget_bytes, self._journal_lines = budget_bytes, journal_lines
        self._allowed_bytes = budget_bytes + max(_MIN_MARGIN_BYTES, budget_bytes // _MARGIN_SHARE)
        self._undecided: dict[str, int] = {}
        self._lock = lock(path)
        try:
            self._store = Store(path, station)
        except BaseException:
            os.close(self._lock)
            raise

    def close(self) -> None:
        """Give the file back; repeating it does nothing."""
        if self._lock >= 0:
            self._store.close()
            os.close(self._lock)
            self._lock = -1

    def reserve(self, trigger: Trigger) -> Row:
        """Give a part the next sequence number, for ever; a part without an id is called after its number.

        Raises:
            UnavailableError: Not even a drop record would fit any more, or the disk is full.
        """
        row = self._store.write(
            partial(
                steps.reserve,
                trigger=trigger,
                boot_id=self._boot_id,
                clock_id=self._clock_id,
                allowed=self._allowed_bytes,
            )
        )
        number_mark.note(self._lock, row.sequence)
        self._undecided[row.inspection_id] = row.sequence
        if len(self._undecided) > _MOST_UNDECIDED:
            self._undecided.pop(next(iter(self._undecided)), None)
        return row

    def append(self, row: Row, message: bytes, kind: Kind, *, payload_bytes: int = 0, stages: Seconds) -> None:
        """Keep the frame of a reserved number, or the drop record that replaces what was kept.

        Raises:
            OutboxFullError: A frame is over the budget; the number stays reserved.
            UnavailableError: The disk is full, or a drop is over what drops may use.
        """
        if kind == "drop":
            drop = partial(steps.keep_drop, row=row, message=message, allowed=self._allowed_bytes)
            self._store.write(drop, size=len(message), essential=True)
            return
        keep = partial(
            steps.keep_frame,
            row=row,
            message=message,
            sha256=sha256_of(message),
            payload_bytes=payload_bytes,
            stages=stages,
            budget=self._budget_bytes,
        )
        self._store.write(keep, size=len(message))

    def replace_frames(self, drops: list[tuple[Row, bytes]]) -> list[Row]:
        """Put drop records in the place of frames, all in one transaction; return those that were still frames.

        Raises:
            UnavailableError: The disk is full or failing; nothing was replaced.
        """

        def replace(connection: sqlite3.Connection, totals: Totals) -> list[Row]:
            allowed = self._allowed_bytes
            return [row for row, drop in drops if steps.replace_frame(connection, totals, row, drop, allowed)]

        return self._store.write(replace, size=sum(len(drop) for _, drop in drops), essential=True)

    def message(self, sequence: int) -> bytes | None:
        """The message of a row; None when the row is closed or only reserved.

        Raises:
            UnreadableError: It was damaged on this disk.
        """
        found = self._store.read(partial(steps.message_of, sequence=sequence))
        if found is None:
            return None
        message, sha256 = found
        if sha256_of(message) != sha256:
            raise UnreadableError(f"the message of number {sequence} is damaged on this disk", code="outbox")
        return message

    def pending(self) -> list[Row]:
        """All rows, oldest first, those only reserved included."""
        return self._store.read(steps.every)

    def frames(self, *, after: int = 0, limit: int = 100) -> list[Row]:
        """The oldest rows that hold a frame, their numbers above `after`."""
        return self._store.read(partial(steps.frames, after=after, limit=limit))

    def row(self, inspection_id: str) -> Row | None:
        """The row of an inspection, unless it is closed or was never ours."""
        return self._store.read(partial(steps.one, column="inspection_id", value=inspection_id))

    def row_of_message(self, sha256: str) -> Row | None:
        """The row whose message has this digest."""
        return self._store.read(partial(steps.one, column="sha256", value=sha256))

    def claim_gate(self, inspection_id: str, action: str, grounds: str) -> bool:
        """Record what the gate is about to do; False when it is recorded already, or the part is unknown.

        How many closed inspections are remembered makes no difference: an inspection that was closed without a claim,
        as a drop is, can be claimed once. So can one whose file was damaged and set aside meanwhile.

        Raises:
            UnavailableError: Nothing was recorded, and the claim is still open.
        """
        claimed = self._store.write(
            lambda connection, _: steps.claim_gate(connection, inspection_id, action, grounds),
            essential=True,
            urgent=True,
        )
        was_lost = 0 < self._undecided.pop(inspection_id, 0) <= self._store.totals.lost_to
        return claimed or was_lost

    def miss_gate(self, inspection_id: str) -> bool:
        """Note that the gate did not do what was claimed."""
        return self._store.write(lambda connection, _: steps.miss_gate(connection, inspection_id), essential=True)

    def miss_gates(self) -> int:
        """Record that no gate was moved for parts which an earlier boot closed without a claim; return how many."""
        return self._store.write(lambda connection, _: steps.miss_gates(connection), essential=True)

    def confirm(self, inspection_id: str, closing: Closing) -> JournalLine | None:
        """Close a row: its line goes to the journal and its message is deleted, in one transaction.

        Returns:
            The journal's line, whose gate action is the one claimed first; None when the row is already closed.
        """
        close = partial(steps.close, inspection_id=inspection_id, closing=closing, journal_lines=self._journal_lines)
        line = self._store.write(close, essential=True, urgent=bool(closing.gate_grounds))
        if line is not None and line.gate_grounds:
            self._undecided.pop(inspection_id, None)
        return line

    @property
    def state(self) -> OutboxState:
        """How full it is."""
        oldest = self._store.read(steps.oldest_captured_at)
        totals = self._store.totals
        return OutboxState(totals.rows, totals.bytes, self._budget_bytes, oldest, self._store.set_aside)

    @property
    def fill(self) -> float:
        """Bytes of messages as a share of the budget."""
        return self._store.totals.bytes / self._budget_bytes

    @property
    def is_in_place(self) -> bool:
        """Whether the file was neither deleted nor replaced since it was opened."""
        return self._store.is_in_place()
