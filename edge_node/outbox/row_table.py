"""The open rows in SQL. Every function works inside its caller's transaction."""

import json
import sqlite3
from collections.abc import Sequence

import msgspec

from edge_node.outbox.journal import JournalLine, line_of, write_line
from edge_node.outbox.rows import Closing, Row, Trigger
from edge_node.outbox.segments import Position
from patchline.wire.errors import UnreadableError
from patchline.wire.messages import sha256_of

_FIELDS = Row.__struct_fields__
_SELECT = f"SELECT {', '.join(_FIELDS)} FROM inspections"  # noqa: S608  names of our own


class Totals(msgspec.Struct, frozen=True):
    """All open rows, added up."""

    rows: int
    bytes: int
    reserved: int


def totals(connection: sqlite3.Connection) -> Totals:
    """Count the open rows."""
    count = "SELECT count(*), coalesce(sum(message_bytes), 0), total(kind = 'reserved') FROM inspections"
    rows, size, reserved = connection.execute(count).fetchone()
    return Totals(rows, size, int(reserved))


def add(connection: sqlite3.Connection, trigger: Trigger, boot_id: str, clock_id: str) -> Row:
    """Give a part its number."""
    sequence = connection.execute(
        "INSERT INTO inspections (inspection_id, part_id, boot_id, clock_id, captured_at, captured_monotonic) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        (
            trigger.inspection_id,
            trigger.part_id or "",
            boot_id,
            clock_id,
            trigger.captured_at,
            trigger.captured_monotonic,
        ),
    ).lastrowid
    if trigger.part_id is None:
        connection.execute("UPDATE inspections SET part_id = ? WHERE sequence = ?", (str(sequence), sequence))
    row = one(connection, "sequence", sequence)
    assert row is not None
    return row


def put_frame(connection: sqlite3.Connection, row: Row, position: Position) -> None:
    """Note where the message of a reserved number is, and that everything up to its end is noted."""
    connection.execute(
        "UPDATE inspections SET kind = 'frame', message_bytes = ?, segment = ?, place = ?, length = ?, sha256 = ?, "
        "payload_bytes = ?, stages = ? WHERE sequence = ? AND inspection_id = ? AND kind = 'reserved'",
        (
            row.message_bytes,
            *position,
            row.sha256,
            row.payload_bytes,
            json.dumps(row.stages),
            row.sequence,
            row.inspection_id,
        ),
    )
    connection.execute(
        "UPDATE indexed SET segment = ?, place = ?", (position.segment, position.offset + position.length)
    )


def put_drop(connection: sqlite3.Connection, sequence: int, message: bytes) -> tuple[Row, Position | None] | None:
    """Put a drop record in the place of whatever is kept: what that was, and where; None when there is no such row."""
    before = one(connection, "sequence", sequence)
    if before is None:
        return None
    position = position_of(connection, sequence)
    connection.execute(
        "UPDATE inspections SET kind = 'drop', message = ?, message_bytes = ?, segment = NULL, place = 0, length = 0, "
        "sha256 = ?, payload_bytes = 0, stages = '{}' WHERE sequence = ?",
        (message, len(message), sha256_of(message), sequence),
    )
    return before, position


def replace_frames(
    connection: sqlite3.Connection, drops: Sequence[tuple[Row, bytes]]
) -> list[tuple[Row, bytes, Position | None]]:
    """Put drop records in the place of frames; those that were still there, and where their messages were."""
    replaced = []
    for row, message in drops:
        found = one(connection, "sequence", row.sequence)
        if found is not None and found.kind == "frame":
            replaced.append((found, message, position_of(connection, row.sequence)))
            put_drop(connection, row.sequence, message)
    return replaced


def claim_gate(connection: sqlite3.Connection, inspection_id: str, action: str, grounds: str) -> bool:
    """Write down a gate's action in the open row, or in the journal's line; False where one stands already."""
    return any(
        connection.execute(
            f"UPDATE {table} SET gate_action = ?, gate_grounds = ? "  # noqa: S608  names of our own
            "WHERE inspection_id = ? AND gate_grounds = ''",
            (action, grounds, inspection_id),
        ).rowcount
        for table in ("inspections", "journal")
    )


def miss_gate(connection: sqlite3.Connection, inspection_id: str) -> bool:
    """Note that the gate did not act on a part, in the place of what it was about to do."""
    return any(
        connection.execute(
            f"UPDATE {table} SET gate_action = '', gate_grounds = 'missed' WHERE inspection_id = ?",  # noqa: S608  ours
            (inspection_id,),
        ).rowcount
        for table in ("inspections", "journal")
    )


def miss_gates(connection: sqlite3.Connection) -> int:
    """Note of parts closed by an earlier boot, whose gate it did not live to move, that they went by; how many."""
    return connection.execute("UPDATE journal SET gate_grounds = 'missed' WHERE gate_grounds = ''").rowcount


def move(connection: sqlite3.Connection, sequence: int, before: Position, position: Position) -> bool:
    """Note that a message has been copied elsewhere; False when its row no longer points to where it was."""
    return bool(
        connection.execute(
            "UPDATE inspections SET segment = ?, place = ?, length = ? "
            "WHERE sequence = ? AND segment = ? AND place = ?",
            (*position, sequence, before.segment, before.offset),
        ).rowcount
    )


def close(
    connection: sqlite3.Connection, inspection_id: str, closing: Closing, journal_lines: int
) -> tuple[Row, JournalLine, Position | None] | None:
    """Turn a row into a line of the journal; None when there is no such row."""
    row = one(connection, "inspection_id", inspection_id)
    if row is None:
        return None
    position = position_of(connection, row.sequence)
    line = line_of(row, closing)
    write_line(connection, line, journal_lines)
    connection.execute("DELETE FROM inspections WHERE sequence = ?", (row.sequence,))
    return row, line, position


def one(connection: sqlite3.Connection, column: str, value: object) -> Row | None:
    """The row with a value in a unique column, or the first of several."""
    found = connection.execute(f"{_SELECT} WHERE {column} = ? LIMIT 1", (value,)).fetchall()
    return _row(found[0]) if found else None


def every(connection: sqlite3.Connection) -> list[Row]:
    """All rows, oldest first."""
    return [_row(values) for values in connection.execute(f"{_SELECT} ORDER BY sequence").fetchall()]


def frames(connection: sqlite3.Connection, after: int, limit: int) -> list[Row]:
    """The oldest rows that hold a frame and have a number above `after`."""
    query = f"{_SELECT} WHERE sequence > ? AND kind = 'frame' ORDER BY sequence LIMIT ?"
    return [_row(values) for values in connection.execute(query, (after, limit)).fetchall()]


def of_segment(connection: sqlite3.Connection, segment: int) -> list[Row]:
    """The rows whose messages are in a segment."""
    query = f"{_SELECT} WHERE segment = ? ORDER BY sequence"
    return [_row(values) for values in connection.execute(query, (segment,)).fetchall()]


def held_segments(connection: sqlite3.Connection) -> Sequence[tuple[int, int]]:
    """How many rows point to each segment."""
    query = "SELECT segment, count(*) FROM inspections WHERE segment IS NOT NULL GROUP BY segment"
    return connection.execute(query).fetchall()


def indexed(connection: sqlite3.Connection) -> tuple[int, int]:
    """The segment and the place up to which every record is noted."""
    segment, place = connection.execute("SELECT segment, place FROM indexed").fetchone()
    return segment, place


def message_of(connection: sqlite3.Connection, sequence: int) -> tuple[bytes | None, Position | None]:
    """A row's message, where it is in the row, or where in the segments it is.

    Raises:
        UnreadableError: The message in the row was damaged on this disk (`outbox`): SQLite's pages have no checksums.
    """
    query = "SELECT message, sha256 FROM inspections WHERE sequence = ?"
    for message, sha256 in connection.execute(query, (sequence,)).fetchall():
        if message is not None and sha256_of(message) != sha256:
            raise UnreadableError(f"the message of number {sequence} is damaged on this disk", code="outbox")
        return message, position_of(connection, sequence)
    return None, None


def position_of(connection: sqlite3.Connection, sequence: int) -> Position | None:
    """Where in the segments a row's message is, if it is there."""
    query = "SELECT segment, place, length FROM inspections WHERE sequence = ? AND segment IS NOT NULL"
    found = connection.execute(query, (sequence,)).fetchall()
    return Position(*found[0]) if found else None


def oldest_captured_at(connection: sqlite3.Connection) -> float | None:
    """When the oldest open part was captured."""
    found = connection.execute("SELECT captured_at FROM inspections ORDER BY sequence LIMIT 1").fetchall()
    return found[0][0] if found else None


def _row(values: tuple[object, ...]) -> Row:
    fields = dict(zip(_FIELDS, values, strict=True))
    return msgspec.convert({**fields, "stages": json.loads(str(fields["stages"]))}, Row)
