"""The coefficients of one picture as the body of a payload that is never over its limit, and back.

A body begins with the level of the step, a sixth of an octave each, and four bits for the gain of each band; the rest
is a stream.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vision.arrays import Floats
from vision.codecs.residual.classes import PER_OCTAVE, Classes
from vision.codecs.residual.gains import GAINS, Shifts, expected_counts, gains_of, shifted, shifts_of
from vision.codecs.residual.lanes import WHOLE
from vision.codecs.residual.order import Indices, Order, order_at
from vision.codecs.residual.stream import Stream
from vision.codecs.residual.symbols import plain_bit_count, plain_bits, symbols_of, values_of
from vision.codecs.residual.tables import COMMON, EXACT, FLAGS, GROUPED, LARGEST, Quantiser

LEVELS = 256
_FARTHEST = 2.0**24
"""Coefficients are cut off there, in steps, so that some level leaves nothing of them."""
_NEGATIVE = np.uint16(LARGEST + 1)


@dataclass(frozen=True, slots=True)
class Statistics:
    """All that depends on the step.

    Attributes:
        step: Of the quantiser at level 0.
        classes: `(size,)` at level 0.
        tables: See `tables.tables_of`.
        quantiser: See `tables.Quantiser`.
    """

    step: float
    classes: Classes
    tables: NDArray[np.uint16]
    quantiser: Quantiser


class _Level(NamedTuple):
    order: Order
    thresholds: Floats
    factor: np.float32
    expected: NDArray[np.float64]


class _Quantised(NamedTuple):
    """What is left of a picture: which coefficients are not zero, and what they are, `_NEGATIVE` added if negative."""

    places: Indices
    values: NDArray[np.uint16]


class PictureCoder:
    """A fitted coder.

    Args:
        statistics: Of normal pictures.
        bands: Coefficients of each band; they lie one after the other.
        limit: The most bytes of a body.
    """

    def __init__(self, statistics: Statistics, bands: list[int], limit: int) -> None:
        self._classes, self._quantiser = statistics.classes, statistics.quantiser
        self._step, self._limit = np.float32(statistics.step), limit
        self._bands, self._band_count = np.repeat(np.arange(len(bands), dtype=np.uint8), bands), len(bands)
        self._stream = Stream(statistics.tables)
        self._occurrence = 1 - statistics.tables[COMMON:GROUPED, 0] / WHOLE
        self._level = lru_cache(maxsize=32)(self._make_level)

    def encode(self, coefficients: Floats) -> bytes:
        """The body of a picture's coefficients, `(size,)`; with a coarser step where it would be over the limit."""
        scaled = np.clip(coefficients / self._step, -_FARTHEST, _FARTHEST)
        magnitudes = np.abs(scaled)
        number, quantised = 0, self._quantise(scaled, magnitudes, 0)
        body = self._coded(quantised, 0)
        while len(body) > self._limit:
            allowed = len(quantised.places) * self._limit // len(body)
            number = self._level_for(magnitudes, allowed, number + 1)
            quantised = self._quantise(scaled, magnitudes, number)
            body = self._coded(quantised, number)
        return body

    def decode(self, body: bytes) -> Floats:
        """The coefficients in a body of at most `limit` bytes.

        Raises:
            ValueError: It is not a body.
        """
        head = 1 + (self._band_count + 1) // 2
        if len(body) < head:
            raise ValueError("its gains are cut off")
        nibbles = np.frombuffer(body[1:head], dtype=np.uint8)
        gains = np.stack([nibbles >> 4, nibbles & (GAINS - 1)], axis=1).ravel()[: self._band_count]
        level, shifts, stream = self._level(body[0]), shifts_of(gains), self._stream.open(body[head:])
        order = level.order
        flags = stream.read(_flag_rows(order, shifts)).astype(np.bool_)
        sent = order.sent(flags)
        symbols = stream.read(_rows(order, sent, shifts))
        kept = np.flatnonzero(symbols)
        symbols, places = symbols[kept], sent[kept]
        negative, values = values_of(symbols, stream.finish(plain_bit_count(symbols)))
        small = np.minimum(values, EXACT - 1)
        magnitudes = self._quantiser.centroids[order.classes[places], small] + (values - small)
        coefficients = np.zeros(len(self._classes) + 1, np.float32)
        coefficients[places] = np.where(negative, -magnitudes, magnitudes) * (self._step * level.factor)
        return coefficients[:-1]

    def _make_level(self, number: int) -> _Level:
        order = order_at(number, self._classes, self._bands)
        factor = np.float32(2.0 ** (number / PER_OCTAVE))
        thresholds = self._quantiser.thresholds[order.classes[:-1]] * factor
        return _Level(order, thresholds, factor, expected_counts(order, self._occurrence, self._band_count))

    def _level_for(self, magnitudes: Floats, allowed: int, first: int) -> int:
        """The finest level from `first` on at which no more than `allowed` coefficients are left."""
        low, stride = first, 1
        while low < LEVELS - 1 and not self._fits(magnitudes, low, allowed):
            low, stride = min(low + stride, LEVELS - 1), 2 * stride
        high, low = low, max(first, low - stride // 2)
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self._fits(magnitudes, middle, allowed) else (middle + 1, high)
        return high

    def _fits(self, magnitudes: Floats, number: int, allowed: int) -> bool:
        return bool(np.count_nonzero(magnitudes >= self._level(number).thresholds) <= allowed)

    def _quantise(self, scaled: Floats, magnitudes: Floats, number: int) -> _Quantised:
        level = self._level(number)
        places = np.flatnonzero(magnitudes >= level.thresholds)
        values = self._quantiser.values(magnitudes[places] / level.factor, level.order.classes[places])
        return _Quantised(places, values + (scaled[places] < 0) * _NEGATIVE)

    def _coded(self, quantised: _Quantised, number: int) -> bytes:
        level = self._level(number)
        order = level.order
        counts = np.bincount(self._bands[quantised.places], minlength=self._band_count)
        gains = gains_of(counts, level.expected)
        shifts = shifts_of(gains)
        values = np.zeros(len(self._classes) + 1, np.uint16)
        values[quantised.places] = quantised.values
        flags = order.flags(quantised.places)
        sent = order.sent(flags)
        values = values[sent]
        departing = np.flatnonzero(values)
        kept = values[departing]
        magnitudes = kept & np.uint16(LARGEST)
        kept_symbols = symbols_of(magnitudes)
        symbols = np.zeros(len(sent), np.uint8)
        symbols[departing] = kept_symbols
        runs = [(_flag_rows(order, shifts), flags.view(np.uint8)), (_rows(order, sent, shifts), symbols)]
        nibbles = np.append(gains, np.uint8(0))[: self._band_count + self._band_count % 2].reshape(-1, 2)
        head = bytes([number]) + (nibbles[:, 0] << 4 | nibbles[:, 1]).tobytes()
        return head + self._stream.write(runs, plain_bits(kept > LARGEST, magnitudes, kept_symbols))


def _flag_rows(order: Order, shifts: Shifts) -> Indices:
    return FLAGS + shifted(order, order.leaders, shifts)


def _rows(order: Order, sent: Indices, shifts: Shifts) -> Indices:
    rows = shifted(order, sent, shifts)
    rows[len(order.common) :] += GROUPED
    return rows
