"""The coefficients of one picture as the body of a payload that is never over its limit, and back.

A body begins with the level of the step, a sixth of an octave each, and four bits for the gain of each band; the rest
is a stream of flags' masks, quads' masks and values, and their plain bits.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from patchline.vision.codecs.features.residual.entropy import Laid, Stream
from patchline.vision.codecs.features.residual.order import QUAD, Indices, Order, order_at, sequence_of
from patchline.vision.codecs.features.residual.rate import (
    GAINS,
    Forecast,
    Scale,
    bounds,
    bytes_of_one,
    moved_classes,
    shares_left,
)
from patchline.vision.codecs.features.residual.tables import (
    CLASSES,
    COMMON,
    EXACT,
    FLAGS,
    GROUPED,
    PER_OCTAVE,
    VALUES,
    Classes,
    Quantiser,
    occurrence_of,
    plain_bit_count,
    plain_bits,
    quantised,
    symbols_of,
    values_of,
)
from patchline.vision.pixels.arrays import Floats

_QUAD_BITS = QUAD.bit_length() - 1
_LIKELY = 1.02
"""A finer level is tried where its forecast, from a coarser one's true length, is within so much of the limit."""


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
    """A level of the step.

    `classes` are those of the coefficients, `(size + 1,)`, and one for what is empty; `bounds`, `(size,)` and in the
    sequence's order, are how far over their thresholds at level 0 they must be to be sent; `roundings` go with the
    classes at level 0, `(CLASSES,)`.
    """

    order: Order
    classes: Classes
    bounds: Floats
    roundings: Floats
    step: np.float32
    scale: Scale


class _Draft(NamedTuple):
    """A picture at a level that only needs to be entropy coded."""

    level: int
    head: bytes
    laid: Laid
    length: int


class PictureCoder:
    """A fitted coder.

    Args:
        statistics: Of normal pictures.
        bands: Coefficients of each band; they lie one after the other.
        limit: The most bytes of a body.
        given: `(size,)`, where each coefficient stands among those `encode` is given; in its place when None.
    """

    def __init__(self, statistics: Statistics, bands: list[int], limit: int, given: Indices | None = None) -> None:
        self._classes, self._quantiser = statistics.classes, statistics.quantiser
        self._step, self._limit = np.float32(statistics.step), limit
        self._bands, self._band_count = np.repeat(np.arange(len(bands), dtype=np.uint8), bands), len(bands)
        self._stream = Stream(statistics.tables)
        self._occurrence = occurrence_of(statistics.tables)
        self._bounds = bounds()
        self._shares = shares_left(self._quantiser.thresholds, self._classes)
        self._bytes_of_one = bytes_of_one(statistics.tables, self._classes)
        sequence = sequence_of(self._classes, self._bands)
        self._sequence = sequence if given is None else given[sequence]
        self._sequence_classes = self._classes[sequence]
        self._thresholds = self._quantiser.thresholds[self._sequence_classes] * self._step
        self._level = lru_cache(maxsize=32)(self._make_level)

    def encode(self, coefficients: Floats) -> bytes:
        """The body of a picture's coefficients, `(size,)`; with a coarser step where it would be over the limit."""
        sequence = coefficients.take(self._sequence)
        excess = np.abs(sequence)
        excess /= self._thresholds
        forecast = Forecast(excess, self._bounds, self._shares, self._bytes_of_one)
        first = 0
        while True:
            draft = self._finest_that_fits(sequence, excess, forecast, first)
            body = draft.head + draft.laid.write()
            if len(body) <= self._limit:
                return body
            first = draft.level + 1

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
        lowered = np.maximum(np.arange(CLASSES) - number, 0)
        # A class lower, a threshold is higher: noise in what is rare would spread over the whole map.
        risen = (self._quantiser.thresholds[lowered] / self._quantiser.thresholds)[self._sequence_classes]
        scale = Scale(populations, self._occurrence)
        return _Level(order, classes, risen * self._bounds[number], self._quantiser.roundings[lowered], step, scale)

    def _finest_that_fits(self, sequence: Floats, excess: Floats, forecast: Forecast, first: int) -> _Draft:
        """The draft at the finest level from `first` on that keeps within the limit, as far as forecasts find it."""
        number, fitting = max(first, forecast.level_for(self._limit)), None
        while True:
            draft = self._draft(sequence, excess, number)
            if draft.length <= self._limit:
                fitting = draft
                allowed = forecast.count(number) * self._limit * _LIKELY / draft.length
            else:
                first = number + 1
                allowed = forecast.count(number) * self._limit / draft.length
            number = forecast.level_with(allowed, first, max(first, number))
            if fitting is not None and number >= fitting.level:
                return fitting

    def _draft(self, sequence: Floats, excess: Floats, number: int) -> _Draft:
        level = self._level(number)
        order, pieces, width = level.order, level.order.pieces, self._stream.tables.width
        departing = pieces.departing(excess, level.bounds)
        positions = departing.nonzero()[0]
        places, counts = pieces.found(positions)
        gains = level.scale.gains(np.bincount(pieces.bands, counts, self._band_count).tolist())
        moved = moved_classes(gains) * width
        coefficients = sequence[places]
        magnitudes = np.abs(coefficients)
        magnitudes /= level.step
        values = quantised(magnitudes, level.roundings[self._sequence_classes[places]])
        flag_masks, masks, flags = order.quads(departing)
        runs = [
            (moved + FLAGS * width)[order.flag_keys] + flag_masks,
            _quad_rows(order, moved, flags, width) + masks,
            (moved + (VALUES * width - 1))[order.keys[positions >> _QUAD_BITS]] + symbols_of(values),
        ]
        laid = self._stream.lay(runs, plain_bits(coefficients < 0, values))
        nibbles = [*gains, 0]
        head = bytes([number, *(high << 4 | low for high, low in zip(nibbles[::2], nibbles[1::2], strict=False))])
        return _Draft(number, head, laid, len(head) + laid.fewest_bytes())


def _quad_rows(order: Order, moved: Indices, flags: NDArray[np.bool_], width: int = 1) -> Indices:
    rows: Indices = moved[order.sent_keys(flags)] + COMMON * width
    rows[order.common :] += (GROUPED - COMMON) * width
    return rows
