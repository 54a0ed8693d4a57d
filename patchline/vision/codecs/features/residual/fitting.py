"""Learning the codec's tensors: means, axes, classes, tables, and the step with which nine of ten pictures fit."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from patchline.vision.codecs.features.residual.order import Indices, Masks, Order, masks_of, order_at
from patchline.vision.codecs.features.residual.picture import PictureCoder, Statistics
from patchline.vision.codecs.features.residual.spectrum import Band
from patchline.vision.codecs.features.residual.tables import (
    CLASSES,
    EXACT,
    MASKS,
    SYMBOLS,
    Classes,
    Quantiser,
    Table,
    classes_of,
    quantised,
    quantiser_of,
    symbols_of,
    tables_of,
)
from patchline.vision.pixels.arrays import Floats

SEARCHES = 10
_PRIOR_PICTURES = 8
_SEARCHED_PICTURES = 48
_SHARE_THAT_FITS = 0.9
_NO_LIMIT = 1 << 30
_FINEST, _COARSEST = 1 / 1024, 16.0
"""Steps tried, in the largest of the usual sizes of coefficients."""


def usual_sizes(bands: list[Band], coefficients: Floats) -> NDArray[np.float64]:
    """The standard deviation of each coefficient, `(size,)`, from those of normal pictures, `(N, size)`.

    Few pictures say little of one coefficient. So what all frequencies of its channel and all channels of its frequency
    say together, as if they were independent, counts like eight pictures more.
    """
    squares: NDArray[np.float64] = np.square(coefficients).mean(axis=0, dtype=np.float64)
    count, parts, start = len(coefficients), [], 0
    for band in bands:
        own = squares[start : start + band.places.size].reshape(band.places.shape)
        expected = np.outer(own.mean(axis=1), own.mean(axis=0)) / max(float(own.mean()), 1e-30)
        parts.append((count * own + _PRIOR_PICTURES * expected).ravel() / (count + _PRIOR_PICTURES))
        start += band.places.size
    return np.sqrt(np.concatenate(parts))


def search(
    coefficients: Floats, sizes: NDArray[np.float64], bands: list[int], limit: int, on_step: Callable[[], None]
) -> Statistics:
    """The statistics at the finest step with which nine of ten pictures fit into the limit.

    Args:
        coefficients: `(N, size)` of normal pictures.
        sizes: `(size,)`, how large each usually is.
        bands: Coefficients of each band.
        limit: The most bytes of a body.
        on_step: Called `SEARCHES` times.
    """
    largest = float(sizes.max()) or 1.0
    some = coefficients[np.linspace(0, len(coefficients) - 1, min(len(coefficients), _SEARCHED_PICTURES)).astype(int)]
    low, high = np.log2(largest * _FINEST), np.log2(largest * _COARSEST)
    for _ in range(SEARCHES):
        middle = (low + high) / 2
        coder = PictureCoder(statistics_at(float(np.exp2(middle)), some, sizes, bands), bands, _NO_LIMIT)
        lengths = [len(coder.encode(picture)) for picture in some]
        low, high = (low, middle) if np.quantile(lengths, _SHARE_THAT_FITS) <= limit else (middle, high)
        on_step()
    return statistics_at(float(np.exp2(high)), coefficients, sizes, bands)


def statistics_at(step: float, coefficients: Floats, sizes: NDArray[np.float64], bands: list[int]) -> Statistics:
    """Classes, tables and quantiser at a step; the quantiser's thresholds follow from the tables of a first one."""
    classes = classes_of(sizes, step)
    quantiser = Quantiser.first()
    for _ in range(2):
        counts, sums = _outcomes(coefficients, np.float32(step), classes, quantiser)
        quantiser = quantiser_of(counts, sums)
    order = order_at(0, classes, np.repeat(np.arange(len(bands), dtype=np.uint8), bands))
    thresholds = quantiser.thresholds[classes] * np.float32(step)
    return Statistics(step, classes, _tables(coefficients, thresholds, order, counts), quantiser)


def _outcomes(coefficients: Floats, step: np.float32, classes: Classes, quantiser: Quantiser) -> tuple[Table, Table]:
    """Counts of symbols `(CLASSES, SYMBOLS)`, and sums of what became each `(CLASSES, EXACT)`."""
    counts, sums = np.zeros((CLASSES, SYMBOLS)), np.zeros((CLASSES, EXACT))
    thresholds = quantiser.thresholds[classes] * step
    for picture in coefficients:
        places = _places(picture, thresholds)
        own = classes[places].astype(np.intp)
        magnitudes = np.abs(picture[places] / step)
        symbols = symbols_of(quantised(magnitudes, quantiser.roundings[own]))
        counts += np.bincount(own * SYMBOLS + symbols, minlength=counts.size).reshape(counts.shape)
        exact = symbols < EXACT
        at = own[exact] * EXACT + symbols[exact]
        sums += np.bincount(at, weights=magnitudes[exact], minlength=sums.size).reshape(sums.shape)
    counts[:, 0] += len(coefficients) * np.bincount(classes, minlength=CLASSES) - counts.sum(axis=1)
    return counts, sums


def _tables(coefficients: Floats, thresholds: Floats, order: Order, values: Table) -> NDArray[np.uint16]:
    """Tables from counts of values, and of masks in the order in which they are sent."""
    common, grouped, flagged = (np.zeros((CLASSES, MASKS)) for _ in range(3))
    own = order.keys % CLASSES
    for picture in coefficients:
        departing = np.zeros(len(order.places), np.bool_)
        departing[order.positions[_places(picture, thresholds)]] = True
        flag_masks, masks, flags = order.quads(departing)
        flagged += _counts(order.flag_keys % CLASSES, flag_masks)
        common += _counts(own, masks_of(departing))
        grouped += _counts(order.sent_keys(flags)[order.common :] % CLASSES, masks[order.common :])
    return tables_of(values, common, grouped, flagged)


def _places(picture: Floats, thresholds: Floats) -> Indices:
    return np.flatnonzero(np.abs(picture) >= thresholds)


def _counts(classes: Indices, masks: Masks) -> Table:
    return np.bincount(classes * MASKS + masks, minlength=CLASSES * MASKS).reshape(CLASSES, MASKS).astype(np.float64)
