"""Numbers to bits and back, close to their entropy: asymmetric numeral systems, many side by side in numpy.

Range-variant ANS (Duda, 2013, "Asymmetric numeral systems") with 32-bit states, 16-bit words and 12-bit frequencies.
Each lane is a coder of its own, so one numpy step codes a symbol in each (Giesen, 2014, "Interleaved entropy coders").
Two things keep a lane cheap: its first state carries 16 bits that cannot be compressed anyhow (signs), and its last one
is written with as many bits as it has.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PRECISION = 12
WHOLE = 1 << PRECISION
"""What the frequencies of a table add up to."""
FLOOR = 1 << 16
"""The lowest state; below it a word is read."""
SEED_BITS = 16
STEPS = 96
"""Symbols a lane codes, about: more would be slow in numpy, fewer would spend more bytes on states."""
MOST_STEPS = 192
MAX_LANES = 255

_STATE_BITS = 32

Numbers = NDArray[np.uint32]


def lanes_for(symbols: int, plain_bits: int) -> int:
    """How many lanes to code so many symbols in: no more than the plain bits can seed, unless it took too long."""
    fewest, most = -(-symbols // MOST_STEPS), -(-symbols // STEPS)
    return min(MAX_LANES, max(1, fewest, min(most, plain_bits // SEED_BITS)))


def code(frequencies: Numbers, starts: Numbers, seeds: NDArray[np.integer]) -> tuple[Numbers, NDArray[np.uint16]]:
    """Code symbols, given where each lies in its table.

    Args:
        frequencies: `(steps, lanes)`, at least 1; `WHOLE` codes nothing.
        starts: The same shape: what the frequencies before each in its table add up to.
        seeds: `(lanes,)`, 16 bits each, which come out again at the end.

    Returns:
        The last states, `(lanes,)`, and words in the order in which `Reader` asks for them.
    """
    limits = np.minimum(frequencies.astype(np.uint64) << (32 - PRECISION), 0xFFFFFFFF).astype(np.uint32)
    gaps = np.uint32(WHOLE) - frequencies
    states = seeds.astype(np.uint32) + np.uint32(FLOOR)
    quotient = np.empty_like(states)
    before = np.empty_like(frequencies)
    full = np.empty(frequencies.shape, dtype=np.bool_)
    sixteen = np.uint32(SEED_BITS)
    rows = zip(*(array[::-1] for array in (frequencies, starts, gaps, limits, before, full)), strict=True)
    for frequency, start, gap, limit, kept, over in rows:
        np.greater_equal(states, limit, out=over)
        kept[:] = states
        np.right_shift(states, sixteen, out=states, where=over)
        np.floor_divide(states, frequency, out=quotient)
        np.multiply(quotient, gap, out=quotient)
        np.add(states, quotient, out=states)
        np.add(states, start, out=states)
    return states, before[full].astype(np.uint16)


@dataclass(frozen=True, slots=True)
class Tables:
    """Frequency tables laid out for look-ups.

    Attributes:
        width: Symbols of a table.
        frequencies: `(rows x width,)`.
        starts: `(rows x width,)`: what the frequencies before each in its table add up to.
        slots: `(rows x WHOLE,)`: the symbol at each place of each table.
    """

    width: int
    frequencies: Numbers
    starts: Numbers
    slots: NDArray[np.uint8]

    @classmethod
    def of(cls, tables: NDArray[np.uint16]) -> "Tables":
        """From `(rows, width)` frequencies, each row adding up to `WHOLE`."""
        width = tables.shape[1]
        frequencies = tables.astype(np.uint32)
        starts = np.cumsum(frequencies, axis=1, dtype=np.uint32) - frequencies
        numbers = np.tile(np.arange(width, dtype=np.uint8), len(tables))
        return cls(width, frequencies.ravel(), starts.ravel(), np.repeat(numbers, tables.ravel()))


class Reader:
    """The way back, in the order in which the symbols were given."""

    def __init__(self, states: Numbers, words: NDArray[np.uint16], tables: Tables) -> None:
        self._states, self._words, self._tables = states.copy(), words.astype(np.uint32), tables
        self._at = 0

    def read(self, rows: NDArray[np.intp]) -> NDArray[np.uint8]:
        """One symbol for each table row asked for, `(steps, lanes)`.

        Raises:
            ValueError: The words have come to an end.
        """
        symbols = np.empty(rows.shape, dtype=np.uint8)
        into_slots, into_tables = rows * WHOLE, rows * self._tables.width
        slots, frequencies, starts = self._tables.slots, self._tables.frequencies, self._tables.starts
        states = self._states
        for step in range(len(rows)):
            slot = states & np.uint32(WHOLE - 1)
            symbol = slots[into_slots[step] + slot]
            symbols[step] = symbol
            place = into_tables[step] + symbol
            states >>= np.uint32(PRECISION)
            states *= frequencies[place]
            states += slot - starts[place]
            low = np.flatnonzero(states < FLOOR)
            if len(low):
                self._refill(low)
        return symbols

    def finish(self) -> Numbers:
        """The seeds.

        Raises:
            ValueError: There are words left, or the states are not what a coder starts with.
        """
        if self._at != len(self._words) or (self._states >> SEED_BITS != 1).any():
            raise ValueError("its states do not end where a coder starts")
        return self._states & np.uint32(FLOOR - 1)

    def _refill(self, low: NDArray[np.intp]) -> None:
        words = self._words[self._at : self._at + len(low)]
        if len(words) < len(low):
            raise ValueError("its words end before its symbols do")
        self._at += len(low)
        self._states[low] = (self._states[low] << np.uint32(SEED_BITS)) | words


def pack_states(states: Numbers) -> bytes:
    """States, each with its number of bits (17 to 32) in four and without its highest bit."""
    bits = np.unpackbits(states.astype(">u4").view(np.uint8)).reshape(-1, _STATE_BITS)
    lengths = _STATE_BITS - bits.argmax(axis=1)
    kept = np.arange(_STATE_BITS) > _STATE_BITS - lengths[:, None]
    nibbles = np.unpackbits((lengths - SEED_BITS - 1).astype(np.uint8)[:, None], axis=1)[:, 4:]
    return np.packbits(np.concatenate([nibbles.ravel(), bits[kept]])).tobytes()


def unpack_states(body: bytes, lanes: int) -> tuple[Numbers, int]:
    """The states at the start of a body, and how many bytes they take.

    Raises:
        ValueError: The body is too short for them.
    """
    digits = np.unpackbits(np.frombuffer(body, dtype=np.uint8)[: 4 * lanes + lanes])
    if len(digits) < 4 * lanes:
        raise ValueError("the states are cut off")
    nibbles = np.packbits(digits[: 4 * lanes].reshape(lanes, 4), axis=1)[:, 0] >> 4
    lengths = nibbles.astype(np.intp) + SEED_BITS + 1
    used = 4 * lanes + int(lengths.sum()) - lanes
    if len(digits) < used:
        raise ValueError("the states are cut off")
    bits = np.zeros((lanes, _STATE_BITS), dtype=np.uint8)
    columns = np.arange(_STATE_BITS)
    bits[columns > _STATE_BITS - lengths[:, None]] = digits[4 * lanes : used]
    bits[np.arange(lanes), _STATE_BITS - lengths] = 1
    states = np.packbits(bits, axis=1).view(">u4")[:, 0].astype(np.uint32)
    return states, (used + 7) // 8
