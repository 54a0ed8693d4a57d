"""Messages on the disk, each written once: append-only files whose records carry a checksum.

A segment is removed as a whole once nobody needs a record of it, which takes no room, not even on a full disk.
"""

import logging
import os
import re
import struct
import threading
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from patchline.wire.errors import UnavailableError, UnreadableError

_log = logging.getLogger(__name__)

SEGMENT_BYTES = 8 * 1024 * 1024
_HEAD = struct.Struct("<4sQII")
"""Mark, sequence, bytes of `about`, bytes of `body`; both follow, then a CRC-32 of all before it."""
_CRC = struct.Struct("<I")
_MARK = b"PLS1"
_LARGEST_BYTES = 64 * 1024 * 1024


class Record(NamedTuple):
    """What is written: the body, and whatever its owner needs to know it again."""

    sequence: int
    about: bytes
    body: bytes


class Position(NamedTuple):
    """Where a record is: its segment, and the first byte and the length of the whole record in it."""

    segment: int
    offset: int
    length: int


class Segments:
    """The segments beside a file, called after it. Safe to use from every thread; `append` by one at a time.

    Args:
        path: The file they belong to.
        after: New segments get numbers above this one and above all that are there.
        segment_bytes: A segment is closed rather than grown beyond this; a larger record has one of its own.
    """

    def __init__(self, path: Path, *, after: int = 0, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._path, self._segment_bytes = path, segment_bytes
        self._guard = threading.RLock()
        self._held: Counter[int] = Counter()
        self._sizes = {number: self._file(number).stat().st_size for number in self._found()}
        self._current = max([after, *self._sizes])
        self._descriptor = -1

    def append(self, records: Sequence[Record]) -> list[Position]:
        """Write records with one flush; each is held until it is released.

        Raises:
            UnavailableError: The disk is full or failing; none of them is kept.
        """
        blocks = [_block(record) for record in records]
        with self._guard:
            try:
                start = self._make_room(sum(map(len, blocks)))
                _write(self._descriptor, b"".join(blocks))
                os.fdatasync(self._descriptor)
            except OSError as error:
                self._abandon()
                raise UnavailableError(f"the segments of {self._path} cannot be written: {error.strerror}") from error
            positions = []
            for block in blocks:
                positions.append(Position(self._current, start, len(block)))
                start += len(block)
            self._sizes[self._current] = start
            self._held[self._current] += len(blocks)
        return positions

    def read(self, position: Position, sequence: int) -> bytes:
        """The body of the record of a number; its checksum covers every byte.

        Raises:
            UnreadableError: It is damaged, another number's, or its segment is gone (`outbox`).
        """
        try:
            with self._file(position.segment).open("rb") as file:
                file.seek(position.offset)
                record = _parsed(file.read(position.length))
        except OSError as error:
            raise UnreadableError(f"segment {position.segment} is gone: {error.strerror}", code="outbox") from error
        if record is None or record.sequence != sequence:
            raise UnreadableError(f"a record of segment {position.segment} is damaged on this disk", code="outbox")
        return record.body

    def scan(self, segment: int, offset: int) -> Iterator[tuple[Record, Position]]:
        """Every whole record from a place on, segment after segment; a damaged one ends its segment."""
        for number in sorted(self._sizes):
            if number < segment:
                continue
            place = offset if number == segment else 0
            content = self._file(number).read_bytes()
            while (record := _parsed(content, place)) is not None:
                length = _HEAD.size + len(record.about) + len(record.body) + _CRC.size
                yield record, Position(number, place, length)
                place += length
            if place < len(content):
                _log.warning("segment %d of %s: %d torn bytes at its end", number, self._path, len(content) - place)

    def hold(self, segment: int, records: int = 1) -> None:
        """Somebody needs records of a segment."""
        with self._guard:
            self._held[segment] += records

    def release(self, segment: int, *, eagerly: bool = False) -> None:
        """A record is needed no more; the last one takes its segment along.

        Args:
            segment: Whose record it was.
            eagerly: Remove even the segment that is being written, for the disk is full.
        """
        with self._guard:
            self._held[segment] -= 1
            if eagerly and segment == self._current:
                self._close()
            self._remove_if_idle(segment)

    def sweep(self) -> None:
        """Remove every segment that nobody holds."""
        with self._guard:
            for number in list(self._sizes):
                self._remove_if_idle(number)

    @property
    def disk_bytes(self) -> int:
        """What all segments take up."""
        with self._guard:
            return sum(self._sizes.values())

    @property
    def oldest(self) -> int | None:
        """The oldest segment that is complete."""
        with self._guard:
            return min((number for number in self._sizes if not self._is_open(number)), default=None)

    def close(self) -> None:
        """Close the segment that is being written; the next record begins a new one."""
        with self._guard:
            self._close()

    def _is_open(self, number: int) -> bool:
        return self._descriptor >= 0 and number == self._current

    def _make_room(self, needed: int) -> int:
        """Have a segment open that takes so many bytes; where they begin."""
        end = self._sizes.get(self._current, 0)
        if self._descriptor >= 0 and end and end + needed > self._segment_bytes:
            full = self._current
            self._close()
            self._remove_if_idle(full)
        if self._descriptor < 0:
            self._current += 1
            self._descriptor = os.open(
                self._file(self._current), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644
            )
            self._sizes[self._current] = 0
            _flush_folder(self._path.parent)
        return self._sizes[self._current]

    def _abandon(self) -> None:
        """After a failed write nothing is known of the file's end: cut it off if possible, and write there no more."""
        if self._descriptor >= 0:
            with suppress(OSError):
                os.ftruncate(self._descriptor, self._sizes[self._current])
            self._close()
            self._remove_if_idle(self._current)

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _remove_if_idle(self, number: int) -> None:
        if self._held[number] <= 0 and number in self._sizes and not self._is_open(number):
            self._file(number).unlink(missing_ok=True)
            del self._sizes[number], self._held[number]

    def _file(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}-{number:08d}.segment")

    def _found(self) -> Iterator[int]:
        pattern = re.compile(re.escape(self._path.name) + r"-(\d{8,})\.segment")
        for entry in self._path.parent.iterdir():
            if match := pattern.fullmatch(entry.name):
                yield int(match[1])


def _block(record: Record) -> bytes:
    head = _HEAD.pack(_MARK, record.sequence, len(record.about), len(record.body))
    checksum = zlib.crc32(record.body, zlib.crc32(record.about, zlib.crc32(head)))
    return b"".join((head, record.about, record.body, _CRC.pack(checksum)))


def _parsed(content: bytes, place: int = 0) -> Record | None:
    """The record that begins at a place; None where none does, or a torn or damaged one."""
    if len(content) < place + _HEAD.size:
        return None
    mark, sequence, about_bytes, body_bytes = _HEAD.unpack_from(content, place)
    begin = place + _HEAD.size
    end = begin + about_bytes + body_bytes
    if mark != _MARK or about_bytes + body_bytes > _LARGEST_BYTES or len(content) < end + _CRC.size:
        return None
    view = memoryview(content)
    if zlib.crc32(view[place:end]) != _CRC.unpack_from(content, end)[0]:
        return None
    return Record(sequence, content[begin : begin + about_bytes], content[begin + about_bytes : end])


def _write(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
