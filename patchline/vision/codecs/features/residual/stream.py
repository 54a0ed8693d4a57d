"""Symbols, each with the table it is coded by, and plain bits as one string of bytes, and back.

It begins with the number of lanes and of words; then come the lanes' states, the words, and the plain bits that found
no place in the states.
"""

import struct

import numpy as np
from numpy.typing import NDArray

from patchline.vision.codecs.features.residual import lanes

_HEADER = struct.Struct("<BH")
_MOST_WORDS = 0xFFFF
_STATE_COST = 5
"""Bits of a lane beside its seed and what was coded in it, at least."""

Rows = NDArray[np.intp]
Symbols = NDArray[np.uint8]
Places = NDArray[np.intp]
"""Where symbols stand in the tables: `Tables.width` times the row, plus the symbol."""


class Stream:
    """Writes and opens streams.

    Args:
        tables: `(rows, symbols)` frequencies, each row adding up to `lanes.WHOLE`; the last codes nothing but 0, for
            no bits.
    """

    def __init__(self, tables: NDArray[np.uint16]) -> None:
        self.tables = lanes.Tables.of(tables)
        self._nothing = len(tables) - 1

    def lay(self, runs: list[Places], bits: NDArray[np.uint8]) -> "Laid":
        """Symbols, run by run, by where each stands in the tables, and plain bits, one a number."""
        count = lanes.lanes_for(sum(map(len, runs)), len(bits))
        unit = lanes.PAIR * count
        steps = [-(-len(run) // unit) for run in runs]
        places, at = np.full(sum(steps) * unit, self._nothing * self.tables.width, np.intp), 0
        for run, taken in zip(runs, steps, strict=True):
            places[at : at + len(run)] = run
            at += taken * unit
        return Laid(self.tables, places, bits, count)

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


class Laid:
    """A stream of which everything is known but its bytes."""

    def __init__(self, tables: lanes.Tables, places: Places, bits: NDArray[np.uint8], count: int) -> None:
        self._tables, self._places, self._bits, self._count = tables, places, bits, count

    def fewest_bytes(self) -> int:
        """Almost how many bytes it takes: some more, but hardly ever a hundredth."""
        plain = max(len(self._bits), lanes.SEED_BITS * self._count)
        coded = float(np.add.reduce(self._tables.bits[self._places]))
        return _HEADER.size + int(coded + plain + _STATE_COST * self._count) // 8

    def write(self) -> bytes:
        """The stream."""
        count, packed = self._count, np.packbits(self._bits)
        seeds = np.zeros(count, ">u4")
        seeded = packed[: seeds.nbytes]
        seeds.view(np.uint8)[: len(seeded)] = seeded
        states, words = lanes.code(self._tables.intervals[self._places].reshape(-1, count), seeds)
        if len(words) > _MOST_WORDS:  # a body this long is over every limit, so nobody will ever open it
            return bytes(lanes.WORD_BYTES * len(words))
        tail = packed[seeds.nbytes :].tobytes()
        return _HEADER.pack(count, len(words)) + lanes.pack_states(states) + lanes.pack_words(words) + tail


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
