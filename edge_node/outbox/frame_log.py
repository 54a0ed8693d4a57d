"""The frames' share of the outbox: group-committed segments, found again by rows and by a scan after a crash."""

import json
import logging
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from edge_node.outbox import row_table
from edge_node.outbox.group_commit import GroupCommit
from edge_node.outbox.rows import Row
from edge_node.outbox.segments import Position, Record, Segments
from edge_node.outbox.transactions import Transactions
from patchline.wire.errors import UnavailableError, UnreadableError
from patchline.wire.messages import sha256_of

_log = logging.getLogger(__name__)

_MOST_WASTE_BYTES = 64 * 1024 * 1024
"""Closed messages in segments that an open one keeps alive: beyond this, and beyond the open ones, they are copied."""


OnWritten = Callable[[Row, Position], object]


class _Frame(NamedTuple):
    """A frame on its way to the disk."""

    row: Row
    record: Record
    on_written: OnWritten


class FrameLog:
    """Reads and writes frames. Safe to use from every thread.

    Args:
        path: The outbox's file.
        connection: Its database, on which nobody works yet.

    Attributes:
        found: Rows whose frames were written by an earlier boot and have not been noted, and where those are.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        segment, place = row_table.indexed(connection)
        self._segments = Segments(path, after=segment)
        self._group: GroupCommit[_Frame, Position] = GroupCommit(self._write)
        found = {row.sequence: (row, position) for row, position in self._recover(connection, segment, place)}
        self.found = list(found.values())
        for number, records in row_table.held_segments(connection):
            self._segments.hold(number, records)
        for _, position in self.found:
            self._segments.hold(position.segment)
        self._segments.sweep()
        if self.found:
            _log.info("outbox %s: %d frames found that the last boot kept at its end", path, len(self.found))

    def append(self, row: Row, message: bytes, on_written: OnWritten) -> Position:
        """Write a row's frame; it is on the disk when this returns.

        Args:
            row: Whose frame it is.
            message: The frame.
            on_written: Told where it is before anybody is told of a later one: what is noted of the frames on the disk
                has no hole, so that the scan after a crash may begin behind it.

        Raises:
            UnavailableError: The disk is full or failing.
        """
        about = json.dumps([row.inspection_id, row.sha256, row.payload_bytes, row.stages]).encode()
        return self._group(_Frame(row, Record(row.sequence, about, message), on_written))

    def read(self, position: Position, sequence: int) -> bytes:
        """The frame of a number at a place; raises `UnreadableError` when it is damaged or another one's."""
        return self._segments.read(position, sequence)

    def release(self, position: Position, *, eagerly: bool) -> None:
        """A frame is needed no more; `eagerly` when the disk is full."""
        self._segments.release(position.segment, eagerly=eagerly)

    def tidy(self, open_bytes: int, transactions: Transactions) -> None:
        """Where a few open frames keep many closed ones on the disk, copy those of the oldest segment to the end."""
        oldest = self._segments.oldest
        if oldest is None or self._segments.disk_bytes <= 2 * open_bytes + _MOST_WASTE_BYTES:
            return
        try:
            for row in transactions.commit(lambda connection: row_table.of_segment(connection, oldest)):
                self._move(row, transactions)
        except (UnavailableError, UnreadableError) as error:
            _log.warning("segment %d stays as it is: %s", oldest, error)

    def close(self) -> None:
        """Close the files."""
        self._segments.close()

    def _write(self, frames: Sequence[_Frame]) -> list[Position]:
        positions = self._segments.append([frame.record for frame in frames])
        for frame, position in zip(frames, positions, strict=True):
            frame.on_written(frame.row, position)
        return positions

    def _move(self, row: Row, transactions: Transactions) -> None:
        before = transactions.commit(lambda connection: row_table.position_of(connection, row.sequence))
        if before is None:
            return
        position = self.append(row, self._segments.read(before, row.sequence), _copied)
        moved = transactions.commit(lambda connection: row_table.move(connection, row.sequence, before, position))
        self._segments.release(before.segment if moved else position.segment)

    def _recover(self, connection: sqlite3.Connection, segment: int, place: int) -> Iterator[tuple[Row, Position]]:
        """The frames that were on the disk before their rows knew."""
        for record, position in self._segments.scan(segment, place):
            row = row_table.one(connection, "sequence", record.sequence)
            kept = _kept(row, record) if row is not None and row.kind == "reserved" else None
            if kept is not None:
                yield kept, position


def _copied(row: Row, position: Position) -> None:
    """A copy is noted by the change that moves its row there."""


def _kept(row: Row, record: Record) -> Row | None:
    inspection_id, sha256, payload_bytes, stages = json.loads(record.about)
    if inspection_id != row.inspection_id or sha256_of(record.body) != sha256:
        return None
    return msgspec.structs.replace(
        row,
        kind="frame",
        message_bytes=len(record.body),
        sha256=sha256,
        payload_bytes=payload_bytes,
        stages=stages,
    )
