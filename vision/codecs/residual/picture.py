"""The coefficients of one picture as the body of a payload that is never over its limit, and back.

A body begins with the level of the step, a sixth of an octave each, and four bits for the gain of each band; the rest
is a stream of flags' masks, quads' masks and values, and their plain bits.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vision.arrays import Floats
from vision.codecs.residual.classes import CLASSES, PER_OCTAVE, Classes
from vision.codecs.residual.gains import GAINS, expected_counts, gains_of, moved_classes
from vision.codecs.residual.order import QUAD, Indices, Order, order_at
from vision.codecs.residual.stream import Runs, Stream
from vision.codecs.residual.symbols import Bits, plain_bit_count, plain_bits, symbols_of, values_of
from vision.codecs.residual.tables import COMMON, EXACT, FLAGS, GROUPED, LARGEST, VALUES, Quantiser, occurrence_of

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
    classes: Classes
    thresholds: Floats
    step: np.float32
    expected: NDArray[np.float64]


class _Draft(NamedTuple):
    """A picture that only needs to be entropy coded: the head, where its symbols stand in the tables, plain bits."""

    head: bytes
    places: list[Indices]
    bits: Bits


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
        self._edges = np.cumsum([0, *bands])
        self._stream = Stream(statistics.tables)
        self._occurrence = occurrence_of(statistics.tables)
        self._level = lru_cache(maxsize=32)(self._make_level)

    def encode(self, coefficients: Floats) -> bytes:
        """The body of a picture's coefficients, `(size,)`; with a coarser step where it would be over the limit."""
        number, places = 0, np.flatnonzero(np.abs(coefficients) >= self._level(0).thresholds)
        departing = coefficients[places]
        negative = departing < 0
        magnitudes = np.minimum(np.abs(departing), self._step * np.float32(_FARTHEST))
        while True:
            draft = self._draft(places, magnitudes, negative, number)
            length = len(draft.head) + self._stream.fewest_bytes(draft.places, len(draft.bits))
            if length <= self._limit:
                body = draft.head + self._stream.write(draft.places, draft.bits)
                if len(body) <= self._limit:
                    return body
                length = len(body)
            number = self._level_for(places, magnitudes, len(places) * self._limit // length, number + 1)
            left = magnitudes >= self._level(number).thresholds[places]
            places, magnitudes, negative = places[left], magnitudes[left], negative[left]

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
        level, moved, stream = self._level(body[0]), moved_classes(gains), self._stream.open(body[head:])
        order = level.order
        flags = order.flags(stream.read(FLAGS + moved[order.flag_keys]))
        masks = stream.read(_quad_rows(order, moved, flags))
        positions = order.departing(masks, flags)
        symbols = stream.read(VALUES + moved[order.keys[positions // QUAD]]) + np.uint8(1)
        negative, values = values_of(symbols, stream.finish(plain_bit_count(symbols)))
        places, small = order.places[positions], np.minimum(values, EXACT - 1)
        magnitudes = self._quantiser.centroids[level.classes[places], small] + (values - small)
        coefficients = np.zeros(len(self._classes) + 1, np.float32)
        coefficients[places] = np.where(negative, -magnitudes, magnitudes) * level.step
        return coefficients[:-1]

    def _make_level(self, number: int) -> _Level:
        order = order_at(number, self._classes, self._bands)
        step = self._step * np.float32(2.0 ** (number / PER_OCTAVE))
        classes = np.append(np.maximum(self._classes.astype(np.int16) - number, 0), 0).astype(np.uint8)
        keys = self._bands.astype(np.intp) * CLASSES + classes[:-1]
        populations = np.bincount(keys, minlength=self._band_count * CLASSES).reshape(-1, CLASSES)
        expected = expected_counts(populations, self._occurrence)
        return _Level(order, classes, self._quantiser.thresholds[classes[:-1]] * step, step, expected)

    def _level_for(self, places: Indices, magnitudes: Floats, allowed: int, first: int) -> int:
        """The finest level from `first` on at which no more than `allowed` coefficients are left of some."""

        def fits(number: int) -> bool:
            return bool(np.count_nonzero(magnitudes >= self._level(number).thresholds[places]) <= allowed)

        low, stride = first, 1
        while low < LEVELS - 1 and not fits(low):
            low, stride = min(low + stride, LEVELS - 1), 2 * stride
        high, low = low, max(first, low - stride // 2)
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if fits(middle) else (middle + 1, high)
        return high

    def _draft(self, places: Indices, magnitudes: Floats, negative: NDArray[np.bool_], number: int) -> _Draft:
        level = self._level(number)
        order = level.order
        gains = gains_of(np.diff(places.searchsorted(self._edges)), level.expected)
        moved = moved_classes(gains)
        ordered = np.zeros(len(order.places), np.uint16)
        values = self._quantiser.values(magnitudes / level.step, level.classes[places])
        ordered[order.positions[places]] = values + negative * _NEGATIVE
        departing = ordered != 0
        flag_masks, masks, flags = order.quads(departing)
        positions = np.flatnonzero(departing)
        ordered = ordered[positions]
        values = ordered & np.uint16(LARGEST)
        symbols = symbols_of(values)
        runs: Runs = [
            (FLAGS + moved[order.flag_keys], flag_masks),
            (_quad_rows(order, moved, flags), masks),
            (VALUES + moved[order.keys[positions // QUAD]], symbols - np.uint8(1)),
        ]
        nibbles = np.append(gains, np.uint8(0))[: self._band_count + self._band_count % 2].reshape(-1, 2)
        head = bytes([number]) + (nibbles[:, 0] << 4 | nibbles[:, 1]).tobytes()
        return _Draft(head, self._stream.places(runs), plain_bits(ordered > LARGEST, values, symbols))


def _quad_rows(order: Order, moved: Indices, flags: NDArray[np.bool_]) -> Indices:
    rows: Indices = moved[order.sent_keys(flags)] + COMMON
    rows[order.common :] += GROUPED - COMMON
    return rows
