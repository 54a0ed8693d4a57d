"""The entropy coder: symbols, each with the table it is coded by, and plain bits, as one string of bytes and back.

Range-variant asymmetric numeral systems (ANS; Duda, 2013) with 56-bit states, 24-bit words and 12-bit frequencies.
Many lanes, each with a state of its own, are coded side by side, so that one numpy step codes a symbol in each (Giesen,
2014, "Interleaved entropy coders"). Two symbols, the second in the interval of the first, are coded as one with 24-bit
frequencies, which halves the steps. The first state of a lane carries 32 plain bits, and its last state is written with
as many bits as it has.

A stream begins with the number of lanes and of words; then come the lanes' states, the words, and the plain bits for
which the states had no room.
"""

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from patchline.vision.codecs.features.residual import lane_states
from patchline.vision.codecs.features.residual.lane_states import SEED_BITS, WORD_BYTES, Numbers

PRECISION = 12
WHOLE = 1 << PRECISION
"""What the frequencies of a table add up to."""
PAIR = 2
FLOOR = 1 << SEED_BITS
"""The lowest state; below it a word is read."""
STEPS = 40
"""Pairs of symbols a lane codes, about: more would be slow in numpy, fewer would spend more bytes on states."""
MOST_STEPS = 80
MAX_LANES = 255

_HEADER = struct.Struct("<BH")
_MOST_WORDS = 0xFFFF
_STATE_COST = 3
"""Bits of a lane beside its seed and what was coded in it, at least: five for its length, less one for rounding down to
whole bits and one for the remainders of at most `MOST_STEPS` divisions, each of which saves up to 1/88 of a bit."""
_WORD_BITS = np.uint64(WORD_BYTES * 8)
_WORD_MASK = np.uint64((1 << WORD_BYTES * 8) - 1)
_PAIR_BITS = np.uint64(PAIR * PRECISION)
_PAIR_MASK = np.uint64((1 << PAIR * PRECISION) - 1)
_PAIR_WHOLE = np.uint64(1 << PAIR * PRECISION)
_LIMIT_BITS = np.uint64(SEED_BITS + 8 * WORD_BYTES - PAIR * PRECISION)
_START_BITS, _FREQUENCY_MASK = np.uint32(16), np.uint32((1 << 16) - 1)
_TWELVE, _TWELVE_BITS = np.uint64(PRECISION), np.uint32(PRECISION)
_FLOOR = np.uint64(FLOOR)
_STEP = np.less, np.right_shift, np.copyto, np.floor_divide, np.multiply, np.add
Rows = NDArray[np.intp]
Symbols = NDArray[np.uint8]
Places = NDArray[np.intp]
"""Where symbols stand in the tables: `Tables.width` times the row, plus the symbol."""


@dataclass(frozen=True, slots=True)
class Tables:
    """Frequency tables laid out for look-ups.

    Attributes:
        width: Symbols of a table.
        frequencies: `(rows x width,)`.
        starts: `(rows x width,)`: what the frequencies before each in its table add up to.
        intervals: `(rows x width,)`: both, the start in the upper half.
        slots: `(rows x WHOLE,)`: the symbol at each place of each table.
        bits: `(rows x width,)`: what each costs.
    """

    width: int
    frequencies: Numbers
    starts: Numbers
    intervals: NDArray[np.uint32]
    slots: Symbols
    bits: NDArray[np.float32]

    @classmethod
    def of(cls, tables: NDArray[np.uint16]) -> "Tables":
        """From `(rows, width)` frequencies, each row adding up to `WHOLE`."""
        width = tables.shape[1]
        frequencies = tables.astype(np.uint64)
        starts = np.cumsum(frequencies, axis=1, dtype=np.uint64) - frequencies
        numbers = np.tile(np.arange(width, dtype=np.uint8), len(tables))
        bits = (PRECISION - np.log2(np.maximum(tables, 1))).astype(np.float32)
        intervals = (starts << np.uint64(_START_BITS) | frequencies).astype(np.uint32)
        slots = np.repeat(numbers, tables.ravel())
        return cls(width, frequencies.ravel(), starts.ravel(), intervals.ravel(), slots, bits.ravel())


class Stream:
    """Writes and opens streams.

    Args:
        tables: `(rows, symbols)` frequencies, each row adding up to `WHOLE`; the last row codes only 0, for no bits.
    """

    def __init__(self, tables: NDArray[np.uint16]) -> None:
        self.tables = Tables.of(tables)
        self._nothing = len(tables) - 1

    def lay(self, runs: list[Places], bits: NDArray[np.uint8]) -> "Laid":
        """Symbols, run by run, by where each stands in the tables, and plain bits, one a number."""
        count = lanes_for(sum(map(len, runs)), len(bits))
        filled = [_filled(run, count, self._nothing * self.tables.width) for run in runs]
        return Laid(self.tables, np.concatenate(filled), bits)

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
        states, used = lane_states.unpack_states(body[_HEADER.size :], count)
        start = _HEADER.size + used
        tail = start + WORD_BYTES * words
        if len(body) < tail:
            raise ValueError("its words are cut off")
        return Opened(states, lane_states.unpack_words(body[start:tail]), self.tables, body[tail:])


class Laid:
    """A stream of which everything is known but its bytes; `places` is `(steps, lanes)`, of an even number of steps."""

    def __init__(self, tables: Tables, places: Places, bits: NDArray[np.uint8]) -> None:
        self._tables, self._places, self._bits = tables, places, bits

    def fewest_bytes(self) -> int:
        """How many bytes it takes at least; the true number is hardly ever larger by more than a hundredth."""
        count = self._places.shape[1]
        plain = max(len(self._bits), SEED_BITS * count)
        coded = float(np.add.reduce(self._tables.bits[self._places.ravel()]))
        return _HEADER.size + int(coded + plain + _STATE_COST * count) // 8

    def write(self) -> bytes:
        """The stream."""
        count, packed = self._places.shape[1], np.packbits(self._bits)
        seeds = np.zeros(count, ">u4")
        seeded = packed[: seeds.nbytes]
        seeds.view(np.uint8)[: len(seeded)] = seeded
        states, words = code(self._tables.intervals[self._places], seeds)
        if len(words) > _MOST_WORDS:  # a body this long is over every limit and is never opened
            return bytes(WORD_BYTES * len(words))
        tail = packed[seeds.nbytes :].tobytes()
        return _HEADER.pack(count, len(words)) + lane_states.pack_states(states) + lane_states.pack_words(words) + tail


class Opened:
    """A stream that is being read: the runs in the order in which they were written, then the plain bits."""

    def __init__(self, states: Numbers, words: Numbers, tables: Tables, tail: bytes) -> None:
        self._states, self._words, self._tables, self._tail = states, words, tables, tail
        self._nothing = len(tables.slots) // WHOLE - 1
        self._at = 0

    def read(self, rows: Rows) -> Symbols:
        """The symbols of a run, of which the rows of the tables are known.

        Raises:
            ValueError: The stream ends before.
        """
        filled = _filled(rows, len(self._states), self._nothing)
        symbols = np.empty(filled.shape, dtype=np.uint8)
        into_slots, into_tables = filled * WHOLE, filled * self._tables.width
        slots, frequencies, starts = self._tables.slots, self._tables.frequencies, self._tables.starts
        for step in range(0, len(filled), PAIR):
            rest = self._states & _PAIR_MASK
            self._states >>= _PAIR_BITS
            symbol = slots[into_slots[step] + (rest >> _TWELVE).astype(np.intp)]
            place = into_tables[step] + symbol
            share = frequencies[place]
            rest -= starts[place] << _TWELVE
            second = slots[into_slots[step + 1] + (rest // share).astype(np.intp)]
            place = into_tables[step + 1] + second
            rest -= share * starts[place]
            self._states *= share * frequencies[place]
            self._states += rest
            symbols[step], symbols[step + 1] = symbol, second
            low = np.flatnonzero(self._states < _FLOOR)
            if len(low):
                self._refill(low)
        return symbols.ravel()[: len(rows)]

    def finish(self, wanted: int) -> NDArray[np.uint8]:
        """So many plain bits, after which nothing may be left.

        Raises:
            ValueError: There are fewer or more, or the states do not end where they should.
        """
        if self._at != len(self._words) or (self._states >> np.uint64(SEED_BITS) != 1).any():
            raise ValueError("its states do not end where a coder starts")
        seeds = np.unpackbits((self._states & np.uint64(FLOOR - 1)).astype(">u4").view(np.uint8))
        if len(self._tail) != (max(0, wanted - len(seeds)) + 7) // 8:
            raise ValueError("its plain bits are too many or too few")
        return np.concatenate([seeds, np.unpackbits(np.frombuffer(self._tail, dtype=np.uint8))])[:wanted]

    def _refill(self, low: NDArray[np.intp]) -> None:
        words = self._words[self._at : self._at + len(low)]
        if len(words) < len(low):
            raise ValueError("its words end before its symbols do")
        self._at += len(low)
        self._states[low] = (self._states[low] << _WORD_BITS) | words


def lanes_for(symbols: int, plain_bits: int) -> int:
    """How many lanes to code so many symbols in: no more than the plain bits can seed, unless it took too long."""
    fewest, most = -(-symbols // (PAIR * MOST_STEPS)), -(-symbols // (PAIR * STEPS))
    return min(MAX_LANES, max(1, fewest, min(most, plain_bits // SEED_BITS)))


def code(intervals: NDArray[np.uint32], seeds: NDArray[np.integer]) -> tuple[Numbers, Numbers]:
    """Code symbols, given where each lies in its table.

    Args:
        intervals: `(steps, lanes)`, see `Tables.intervals`; of frequency at least 1, and `WHOLE` codes nothing.
        seeds: `(lanes,)`, 32 bits each, which come out again at the end.

    Returns:
        The last states, `(lanes,)`, and words in the order in which `Opened` reads them.
    """
    pairs, lanes = len(intervals) // PAIR, intervals.shape[1]
    # What is read first is coded last.
    first, second = intervals[-PAIR::-PAIR], intervals[::-PAIR]
    frequencies = first & _FREQUENCY_MASK
    shares = (frequencies * (second & _FREQUENCY_MASK)).astype(np.uint64)
    begins = ((first >> _START_BITS << _TWELVE_BITS) + frequencies * (second >> _START_BITS)).astype(np.uint64)
    limits, gaps = shares << _LIMIT_BITS, _PAIR_WHOLE - shares
    states, whole = np.empty((pairs + 1, lanes), np.uint64), np.empty((pairs, lanes), np.bool_)
    np.add(seeds, _FLOOR, out=states[0], casting="unsafe")
    state, rest, quotient, word = states[0], *np.empty((2, lanes), np.uint64), np.full(lanes, _WORD_BITS)
    less, shift, copy, divide, multiply, add = _STEP  # local names: the loop's time is that of its calls
    for share, begin, gap, limit, kept, after in zip(shares, begins, gaps, limits, whole, states[1:], strict=True):
        less(state, limit, kept)
        shift(state, word, rest)
        copy(rest, state, where=kept)
        divide(rest, share, quotient)
        multiply(quotient, gap, quotient)
        add(rest, begin, rest)
        add(rest, quotient, after)
        state = after
    return state, states[:-1][::-1][~whole[::-1]] & _WORD_MASK


def _filled(numbers: Rows, count: int, filler: int) -> Rows:
    """Filled up to whole steps of two symbols a lane, `(steps, count)`."""
    unit = PAIR * count
    filled = np.full(-(-len(numbers) // unit) * unit, filler, dtype=np.intp)
    filled[: len(numbers)] = numbers
    return filled.reshape(-1, count)
