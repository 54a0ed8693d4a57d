"""Numbers to bits and back, close to their entropy: asymmetric numeral systems, many side by side in numpy.

Range-variant ANS (Duda, 2013, "Asymmetric numeral systems") with 56-bit states, 24-bit words and 12-bit frequencies.
Each lane is a coder of its own, so one numpy step codes a symbol in each (Giesen, 2014, "Interleaved entropy coders");
and two symbols, the second in the interval of the first, are as one with 24-bit frequencies, which halves the steps.
Two things keep a lane cheap: its first state carries 32 bits that cannot be compressed anyhow (signs), and its last one
is written with as many bits as it has.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PRECISION = 12
WHOLE = 1 << PRECISION
"""What the frequencies of a table add up to."""
PAIR = 2
SEED_BITS = 32
WORD_BYTES = 3
FLOOR = 1 << SEED_BITS
"""The lowest state; below it a word is read."""
STEPS = 40
"""Pairs of symbols a lane codes, about: more would be slow in numpy, fewer would spend more bytes on states."""
MOST_STEPS = 80
MAX_LANES = 255

_STATE_BITS = 56
_STATE_BYTES, _LENGTH_BITS = 7, 5
_WORD_BITS = np.uint64(WORD_BYTES * 8)
_WORD_MASK = np.uint64((1 << WORD_BYTES * 8) - 1)
_PAIR_BITS = np.uint64(PAIR * PRECISION)
_PAIR_MASK = np.uint64((1 << PAIR * PRECISION) - 1)
_LIMIT_BITS = np.uint64(SEED_BITS + 8 * WORD_BYTES - PAIR * PRECISION)
_START_BITS, _FREQUENCY_MASK = np.uint32(16), np.uint32((1 << 16) - 1)
_TWELVE = np.uint64(PRECISION)
_TWELVE_BITS = np.uint32(PRECISION)
_PAIR_WHOLE = np.uint64(1 << PAIR * PRECISION)
_FLOOR = np.uint64(FLOOR)
_STEP = np.less, np.right_shift, np.copyto, np.floor_divide, np.multiply, np.add
_FIRST_WITH = np.uint64(1) << np.arange(SEED_BITS + 1, _STATE_BITS, dtype=np.uint64)
"""The lowest states of 34 to 56 bits."""
_LENGTHS = np.unpackbits(np.arange(1 << _LENGTH_BITS, dtype=np.uint8)[:, None], axis=1)[:, -_LENGTH_BITS:]
_PLACES = np.arange(64)

Numbers = NDArray[np.uint64]


def lanes_for(symbols: int, plain_bits: int) -> int:
    """How many lanes to code so many symbols in: no more than the plain bits can seed, unless it took too long."""
    fewest, most = -(-symbols // (PAIR * MOST_STEPS)), -(-symbols // (PAIR * STEPS))
    return min(MAX_LANES, max(1, fewest, min(most, plain_bits // SEED_BITS)))


def code(intervals: NDArray[np.uint32], seeds: NDArray[np.integer]) -> tuple[Numbers, Numbers]:
    """Code symbols, given where each lies in its table.

    Args:
        intervals: `(steps, lanes)`, of an even number of steps, see `Tables.intervals`; of frequency at least 1, and
            `WHOLE` codes nothing.
        seeds: `(lanes,)`, 32 bits each, which come out again at the end.

    Returns:
        The last states, `(lanes,)`, and words in the order in which `Reader` asks for them.
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
    # A loop of few calls, bound to names that are found at once: what it costs is the calls.
    less, shift, copy, divide, multiply, add = _STEP
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
    slots: NDArray[np.uint8]
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


class Reader:
    """The way back, in the order in which the symbols were given."""

    def __init__(self, states: Numbers, words: Numbers, tables: Tables) -> None:
        self._states, self._words, self._tables = states.copy(), words, tables
        self._at = 0

    def read(self, rows: NDArray[np.intp]) -> NDArray[np.uint8]:
        """One symbol for each table row asked for, `(steps, lanes)`, of an even number of steps.

        Raises:
            ValueError: The words have come to an end.
        """
        symbols = np.empty(rows.shape, dtype=np.uint8)
        into_slots, into_tables = rows * WHOLE, rows * self._tables.width
        slots, frequencies, starts = self._tables.slots, self._tables.frequencies, self._tables.starts
        for step in range(0, len(rows), PAIR):
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
        return symbols

    def finish(self) -> Numbers:
        """The seeds.

        Raises:
            ValueError: There are words left, or the states are not what a coder starts with.
        """
        if self._at != len(self._words) or (self._states >> np.uint64(SEED_BITS) != 1).any():
            raise ValueError("its states do not end where a coder starts")
        return self._states & np.uint64(FLOOR - 1)

    def _refill(self, low: NDArray[np.intp]) -> None:
        words = self._words[self._at : self._at + len(low)]
        if len(words) < len(low):
            raise ValueError("its words end before its symbols do")
        self._at += len(low)
        self._states[low] = (self._states[low] << _WORD_BITS) | words


def pack_states(states: Numbers) -> bytes:
    """States, each with its number of bits (33 to 56) in five and without its highest bit."""
    lengths = _FIRST_WITH.searchsorted(states, side="right")
    bits = np.unpackbits(states.astype(">u8").view(np.uint8)).reshape(-1, len(_PLACES))
    kept = bits[(len(_PLACES) - SEED_BITS - 1 - lengths)[:, None] < _PLACES]
    return np.packbits(np.concatenate([_LENGTHS[lengths].ravel(), kept])).tobytes()


def unpack_states(body: bytes, lanes: int) -> tuple[Numbers, int]:
    """The states at the start of a body, and how many bytes they take.

    Raises:
        ValueError: The body is too short for them.
    """
    digits = np.unpackbits(np.frombuffer(body, dtype=np.uint8)[: (_STATE_BYTES + 1) * lanes])
    heads = _LENGTH_BITS * lanes
    if len(digits) < heads:
        raise ValueError("the states are cut off")
    lengths = SEED_BITS + 1 + (np.packbits(digits[:heads].reshape(lanes, -1), axis=1)[:, 0] >> 3).astype(np.intp)
    used = heads + int(lengths.sum()) - lanes
    if len(digits) < used or lengths.max() > _STATE_BITS:
        raise ValueError("the states are cut off")
    bits = np.zeros((lanes, 64), dtype=np.uint8)
    columns = np.arange(64)
    bits[columns > 64 - lengths[:, None]] = digits[heads:used]
    bits[np.arange(lanes), 64 - lengths] = 1
    states = np.packbits(bits, axis=1).view(">u8")[:, 0].astype(np.uint64)
    return states, (used + 7) // 8


def pack_words(words: Numbers) -> bytes:
    """Words, three bytes each, the lowest first."""
    return words.astype("<u8").view(np.uint8).reshape(-1, 8)[:, :WORD_BYTES].tobytes()


def unpack_words(body: bytes) -> Numbers:
    """The way back."""
    octets = np.zeros((len(body) // WORD_BYTES, 8), np.uint8)
    octets[:, :WORD_BYTES] = np.frombuffer(body, np.uint8).reshape(-1, WORD_BYTES)
    return octets.view("<u8")[:, 0].astype(np.uint64)
