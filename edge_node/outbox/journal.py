"""What became of each part: a line an inspection, kept after its outbox row is gone."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from edge_node.outbox.database import translated
from edge_node.outbox.rows import Closing, Row
from patchline.wire.errors import MisconfiguredError
from patchline.wire.messages import Seconds


class JournalLine(msgspec.Struct, frozen=True, kw_only=True):
    """One closed inspection.

    Attributes:
        outcome: The verdict's outcome, or `dropped`.
        reason: Why it was dropped or unreadable.
        latency_seconds: Capture to verdict received, on one monotonic clock; None across boots.
        payload_bytes: The encoded picture; 0 for a drop.
        wire_bytes: The whole message, once.
        sends: How often this boot published it.
        stages: Seconds in each stage: the edge's (`capture`, `resize`, `encode`, `keep`), the service's as its verdict
            names them, `server` (their whole), `transmission` (end to end, less edge and server: the
            link and the recording of the verdict) and `uplink` (of it, from sending to the broker's acknowledgement,
            where that came before the verdict).
        gate_action: `accept`, `reject`, or empty when the gate was not moved.
        gate_grounds: `verdict`, `deadline`, `missed` (the edge was down at the deadline), or empty.
    """

    sequence: int
    inspection_id: str
    part_id: str
    boot_id: str
    captured_at: float
    outcome: str
    reason: str = ""
    latency_seconds: float | None = None
    payload_bytes: int = 0
    wire_bytes: int = 0
    sends: int = 0
    stages: Seconds = {}
    gate_action: str = ""
    gate_grounds: str = ""


_FIELDS = JournalLine.__struct_fields__
_COLUMNS = ", ".join(_FIELDS)
_INSERT = f"INSERT INTO journal ({_COLUMNS}) VALUES ({', '.join('?' * len(_FIELDS))})"  # noqa: S608  names of our own
_SELECT = f"SELECT {_COLUMNS} FROM journal ORDER BY sequence"  # noqa: S608  names of our own


def line_of(row: Row, closing: Closing) -> JournalLine:
    """What a row leaves behind; a gate action that was claimed before stands."""
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


def write_line(connection: sqlite3.Connection, line: JournalLine, keep: int) -> int:
    """Add a line inside the caller's transaction and forget the oldest ones beyond `keep`; return its number."""
    values = [json.dumps(line.stages) if name == "stages" else getattr(line, name) for name in _FIELDS]
    number = connection.execute(_INSERT, values).lastrowid
    assert number is not None
    connection.execute("DELETE FROM journal WHERE number <= ?", (number - keep,))
    return number


class EdgeBooks(msgspec.Struct, frozen=True):
    """What an outbox knows of its station's numbers.

    Attributes:
        last: The highest number ever given out.
        waiting: Those that wait for their verdict or receipt.
        closed: Number -> outcome, or the reason of a drop, as far as the journal reaches back.
    """

    station: str
    last: int
    waiting: frozenset[int]
    closed: dict[int, str]


def read_books(path: Path) -> EdgeBooks:
    """The numbers of an outbox file; its edge node may be running.

    Raises:
        MisconfiguredError: There is no such file, or it is no outbox.
    """
    with _reading(path) as connection:
        connection.execute("BEGIN")
        last = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'inspections'").fetchall()
        closed = connection.execute("SELECT sequence, outcome, reason FROM journal").fetchall()
        return EdgeBooks(
            station=connection.execute("SELECT station FROM identity").fetchall()[0][0],
            last=last[0][0] if last else 0,
            waiting=frozenset(row[0] for row in connection.execute("SELECT sequence FROM inspections").fetchall()),
            closed={number: reason if outcome == "dropped" else outcome for number, outcome, reason in closed},
        )


def read_journal(path: Path) -> Iterator[JournalLine]:
    """The closed inspections of an outbox file, in the order of their sequence; its edge node may be running.

    Raises:
        MisconfiguredError: There is no such file, or it is no outbox.
    """
    with _reading(path) as connection:
        for values in connection.execute(_SELECT):
            fields = dict(zip(_FIELDS, values, strict=True))
            yield JournalLine(**{**fields, "stages": json.loads(fields["stages"])})


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    if not path.is_file():
        raise MisconfiguredError("there is no such outbox", where=str(path))
    address = f"{path.resolve().as_uri()}?mode=ro"
    with translated(path), closing(sqlite3.connect(address, uri=True, isolation_level=None)) as connection:
        yield connection
