"""Symbols, each with the table it is coded by, and plain bits as one string of bytes, and back.

It begins with the number of lanes and of words; then come the lanes' states, the words, and the plain bits that found
no place in the states.
"""

import struct

import numpy as np
from numpy.typing import NDArray

from vision.codecs.residual import lanes

_HEADER = struct.Struct("<BH")
_MOST_WORDS = 0xFFFF
_STATE_COST = 5
"""Bits of a lane beside its seed and what was coded in it, at least."""

Rows = NDArray[np.intp]
Symbols = NDArray[np.uint8]
Runs = list[tuple[Rows, Symbols]]


class Stream:
    """Writes and opens streams.

    Args:
        tables: `(rows, symbols)` frequencies, each row adding up to `lanes.WHOLE`; the last codes nothing but 0, for
            no bits.
    """

    def __init__(self, tables: NDArray[np.uint16]) -> None:
        self.tables = lanes.Tables.of(tables)
        self._nothing = len(tables) - 1

    def places(self, runs: Runs) -> list[Rows]:
        """Where the symbols of runs, each with the rows of its tables, stand in the tables."""
        return [rows * self.tables.width + symbols for rows, symbols in runs]

    def fewest_bytes(self, places: list[Rows], plain_bits: int) -> int:
        """Almost how many bytes it takes to write symbols and plain bits: some more, but hardly ever a hundredth."""
        count = lanes.lanes_for(sum(map(len, places)), plain_bits)
        coded = sum(float(self.tables.bits[part].sum()) for part in places)
        plain = max(plain_bits, lanes.SEED_BITS * count)
        return _HEADER.size + int(coded + plain + _STATE_COST * count) // 8

    def write(self, places: list[Rows], bits: NDArray[np.uint8]) -> bytes:
        """Symbols, run by run, and plain bits, one a number."""
        count = lanes.lanes_for(sum(map(len, places)), len(bits))
        filled = np.concatenate([_filled(part, count, self._nothing * self.tables.width) for part in places])
        seeds = np.zeros(count * lanes.SEED_BITS, np.uint8)
        seeded = bits[: len(seeds)]
        seeds[: len(seeded)] = seeded
        states, words = lanes.code(self.tables.intervals[filled], np.packbits(seeds).view(">u4"))
        if len(words) > _MOST_WORDS:  # a body this long is over every limit, so nobody will ever open it
            return bytes(lanes.WORD_BYTES * len(words))
        tail = np.packbits(bits[len(seeds) :]).tobytes()
        return _HEADER.pack(count, len(words)) + lanes.pack_states(states) + lanes.pack_words(words) + tail

    def open(self, body: bytes) -> "Opened":
        """A stream to be read.

        Raises:
            ValueError: It is cut off.
        """
        if len(body) < _HEADER.size:
            raise ValueError("its header is cut off")
        count, words = _HEADER.unpack_from(body)
        if count == 0:
            raise ValueError("it has no lanes")
        states, used = lanes.unpack_states(body[_HEADER.size :], count)
        start = _HEADER.size + used
        tail = start + lanes.WORD_BYTES * words
        if len(body) < tail:
            raise ValueError("its words are cut off")
        reader = lanes.Reader(states, lanes.unpack_words(body[start:tail]), self.tables)
        return Opened(reader, count, self._nothing, body[tail:])


class Opened:
    """A stream under way: the runs are read in the order in which they were written, then the plain bits."""

    def __init__(self, reader: lanes.Reader, count: int, nothing: int, tail: bytes) -> None:
        self._reader, self._count, self._nothing, self._tail = reader, count, nothing, tail

    def read(self, rows: Rows) -> Symbols:
        """The symbols of a run, of which the rows are known.

        Raises:
            ValueError: The stream ends before.
        """
        return self._reader.read(_filled(rows, self._count, self._nothing)).ravel()[: len(rows)]

    def finish(self, wanted: int) -> NDArray[np.uint8]:
        """So many plain bits, after which nothing may be left.

        Raises:
            ValueError: There are fewer or more, or the states do not end where they should.
        """
        seeds = np.unpackbits(self._reader.finish().astype(">u4").view(np.uint8))
        if len(self._tail) != (max(0, wanted - len(seeds)) + 7) // 8:
            raise ValueError("its plain bits are too many or too few")
        return np.concatenate([seeds, np.unpackbits(np.frombuffer(self._tail, dtype=np.uint8))])[:wanted]


def _filled(numbers: Rows, count: int, filler: int) -> Rows:
    """Filled up to whole steps of two symbols a lane, `(steps, count)`."""
    filled = np.full(-(-len(numbers) // (lanes.PAIR * count)) * lanes.PAIR * count, filler, dtype=np.intp)
    filled[: len(numbers)] = numbers
    return filled.reshape(-1, count)
