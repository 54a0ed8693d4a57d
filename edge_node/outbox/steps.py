"""The steps of an inspection in SQL. Each function works inside its caller's transaction and keeps the totals."""

import json
import sqlite3
from dataclasses import dataclass

import msgspec

from edge_node.outbox.journal import JournalLine, line_of, write_line
from edge_node.outbox.rows import Closing, OutboxFullError, Row, Trigger
from patchline.wire.errors import UnavailableError, UnreadableError
from patchline.wire.messages import Seconds, sha256_of

_FIELDS = Row.__struct_fields__
_COLUMNS = ", ".join(_FIELDS)
_SELECT = f"SELECT {_COLUMNS} FROM inspections"  # noqa: S608  names of our own
_ADOPT = f"INSERT OR IGNORE INTO inspections ({_COLUMNS}) VALUES ({', '.join('?' * len(_FIELDS))})"  # noqa: S608
_DROP_BYTES = 1024
"""The space that a reserved number may still need: a drop record with a short detail."""


@dataclass
class Totals:
    """All open rows, added up.

    Attributes:
        last: The highest number given out.
        lost_to: Numbers up to this one were in a file that was set aside.
    """

    rows: int = 0
    bytes: int = 0
    reserved: int = 0
    last: int = 0
    lost_to: int = 0


def totals_of(connection: sqlite3.Connection) -> Totals:
    """Count the open rows."""
    count = "SELECT count(*), coalesce(sum(message_bytes), 0), total(kind = 'reserved') FROM inspections"
    rows, size, reserved = connection.execute(count).fetchone()
    (last,) = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'inspections'").fetchone()
    return Totals(rows, size, int(reserved), last)


def reserve(
    connection: sqlite3.Connection, totals: Totals, trigger: Trigger, *, boot_id: str, clock_id: str, allowed: int
) -> Row:
    """Give a part the next number; `OutboxFullError` when not even a drop record would fit any more."""
    if totals.bytes + (totals.reserved + 1) * _DROP_BYTES > allowed:
        raise OutboxFullError(f"the outbox is full: {totals.rows} rows wait, {totals.bytes} bytes")
    values = (trigger.inspection_id, boot_id, clock_id, trigger.captured_at, trigger.captured_monotonic)
    sequence = connection.execute(
        "INSERT INTO inspections (inspection_id, part_id, boot_id, clock_id, captured_at, captured_monotonic) "
        "VALUES (?1, ?6, ?2, ?3, ?4, ?5)",
        (*values, trigger.part_id or ""),
    ).lastrowid
    if trigger.part_id is None:
        connection.execute("UPDATE inspections SET part_id = ?1 WHERE sequence = ?1", (sequence,))
    row = one(connection, "sequence", sequence)
    assert row is not None
    totals.rows += 1
    totals.reserved += 1
    totals.last = row.sequence
    return row


def keep_frame(
    connection: sqlite3.Connection,
    totals: Totals,
    row: Row,
    message: bytes,
    *,
    sha256: str,
    payload_bytes: int,
    stages: Seconds,
    budget: int,
) -> None:
    """Keep the frame of a reserved number; `OutboxFullError` when it is over the budget."""
    if totals.bytes + len(message) > budget:
        raise OutboxFullError(f"the outbox is full: {totals.bytes} of {budget} bytes are used")
    _adopt(connection, totals, row)
    changed = connection.execute(
        "UPDATE inspections SET kind = 'frame', message_bytes = ?, sha256 = ?, payload_bytes = ?, stages = ? "
        "WHERE sequence = ? AND inspection_id = ? AND kind = 'reserved'",
        (len(message), sha256, payload_bytes, json.dumps(stages), row.sequence, row.inspection_id),
    ).rowcount
    if changed:
        connection.execute("INSERT INTO messages (sequence, body) VALUES (?, ?)", (row.sequence, message))
        totals.bytes += len(message)
        totals.reserved -= 1


def keep_drop(connection: sqlite3.Connection, totals: Totals, row: Row, message: bytes, allowed: int) -> Row | None:
    """Put a drop record in the place of what is kept; return the row as it was, None where it is closed."""
    _adopt(connection, totals, row)
    before = one(connection, "inspection_id", row.inspection_id)
    if before is None:
        return None
    totals.bytes += len(message) - before.message_bytes
    totals.reserved -= before.kind == "reserved"
    if totals.bytes > allowed:
        raise UnavailableError(f"the outbox is full: {totals.bytes} of {allowed} bytes would be used")
    connection.execute("DELETE FROM messages WHERE sequence = ?", (before.sequence,))
    connection.execute("INSERT INTO messages (sequence, body) VALUES (?, ?)", (before.sequence, message))
    connection.execute(
        "UPDATE inspections SET kind = 'drop', message_bytes = ?, sha256 = ?, payload_bytes = 0, stages = '{}' "
        "WHERE sequence = ?",
        (len(message), sha256_of(message), before.sequence),
    )
    return before


def replace_frame(connection: sqlite3.Connection, totals: Totals, row: Row, message: bytes, allowed: int) -> bool:
    """Put a drop record in the place of a frame; return whether there still was one."""
    found = one(connection, "inspection_id", row.inspection_id)
    if found is None or found.kind != "frame":
        return False
    return keep_drop(connection, totals, found, message, allowed) is not None


def claim_gate(connection: sqlite3.Connection, inspection_id: str, action: str, grounds: str) -> bool:
    """Claim the gate for an open or a closed inspection; False where it is claimed already."""
    if connection.execute(
        "UPDATE inspections SET gate_action = ?, gate_grounds = ? WHERE inspection_id = ? AND gate_grounds = ''",
        (action, grounds, inspection_id),
    ).rowcount:
        return True
    numbers = "SELECT number FROM undecided WHERE inspection_id = ?"
    for (number,) in connection.execute(numbers, (inspection_id,)).fetchall():
        connection.execute("DELETE FROM undecided WHERE inspection_id = ?", (inspection_id,))
        connection.execute(
            "UPDATE journal SET gate_action = ?, gate_grounds = ? WHERE number = ? AND inspection_id = ?",
            (action, grounds, number, inspection_id),
        )
        return True
    return False


def miss_gate(connection: sqlite3.Connection, inspection_id: str) -> bool:
    """Record that the gate did not act on a part, in the place of the claim; False when the part is unknown."""
    return any(
        connection.execute(
            f"UPDATE {table} SET gate_action = '', gate_grounds = 'missed' WHERE inspection_id = ?",  # noqa: S608 - ours
            (inspection_id,),
        ).rowcount
        for table in ("inspections", "journal")
    )


def miss_gates(connection: sqlite3.Connection) -> int:
    """Note that no gate was moved for parts which an earlier boot closed without a claim; return how many."""
    connection.execute(
        "UPDATE journal SET gate_grounds = 'missed' WHERE gate_grounds = '' AND number IN "
        "(SELECT number FROM undecided)"
    )
    return connection.execute("DELETE FROM undecided").rowcount


def close(
    connection: sqlite3.Connection, totals: Totals, inspection_id: str, closing: Closing, journal_lines: int
) -> JournalLine | None:
    """Turn a row into a line of the journal; None when there is no such row."""
    row = one(connection, "inspection_id", inspection_id)
    if row is None:
        return None
    line = line_of(row, closing)
    number = write_line(connection, line, journal_lines)
    if not line.gate_grounds:
        connection.execute("INSERT INTO undecided (inspection_id, number) VALUES (?, ?)", (inspection_id, number))
    connection.execute("DELETE FROM inspections WHERE sequence = ?", (row.sequence,))
    connection.execute("DELETE FROM messages WHERE sequence = ?", (row.sequence,))
    totals.rows -= 1
    totals.bytes -= row.message_bytes
    totals.reserved -= row.kind == "reserved"
    return line


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


def message_of(connection: sqlite3.Connection, sequence: int) -> tuple[bytes, str] | None:
    """A row's message and the digest it must have; None when the row is closed or only reserved.

    Raises:
        UnreadableError: The message cannot be read from this disk (`outbox`).
    """
    query = "SELECT sha256 FROM inspections WHERE sequence = ? AND kind != 'reserved'"
    found = connection.execute(query, (sequence,)).fetchall()
    if not found:
        return None
    try:
        bodies = connection.execute("SELECT body FROM messages WHERE sequence = ?", (sequence,)).fetchall()
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        raise UnreadableError(f"the message of number {sequence} is damaged on this disk", code="outbox") from error
    return (bodies[0][0] if bodies else b""), found[0][0]


def oldest_captured_at(connection: sqlite3.Connection) -> float | None:
    """When the oldest open part was captured."""
    found = connection.execute("SELECT captured_at FROM inspections ORDER BY sequence LIMIT 1").fetchall()
    return found[0][0] if found else None


def _adopt(connection: sqlite3.Connection, totals: Totals, row: Row) -> None:
    """Add a row that was reserved in a file which has been set aside since."""
    if row.sequence > totals.lost_to or row.kind != "reserved":
        return
    values = {**msgspec.structs.asdict(row), "stages": json.dumps(row.stages)}
    added = connection.execute(_ADOPT, tuple(values.values())).rowcount
    totals.rows += added
    totals.reserved += added


def _row(values: tuple[object, ...]) -> Row:
    fields = dict(zip(_FIELDS, values, strict=True))
    return msgspec.convert({**fields, "stages": json.loads(str(fields["stages"]))}, Row)
