"""Learning the codec's tensors: means, axes, classes, tables, and the step with which nine of ten pictures fit."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from vision.arrays import Floats
from vision.codecs.residual.classes import CLASSES, Classes, classes_of
from vision.codecs.residual.order import Indices, Order, order_at
from vision.codecs.residual.picture import PictureCoder, Statistics
from vision.codecs.residual.symbols import symbols_of
from vision.codecs.residual.tables import EXACT, SYMBOLS, Quantiser, Table, quantiser_of, tables_of

SEARCHES = 10
_SEARCHED_PICTURES = 48
_SHARE_THAT_FITS = 0.9
_NO_LIMIT = 1 << 30
_FINEST, _COARSEST = 1 / 1024, 16.0
"""Steps tried, in the largest of the usual sizes of coefficients."""


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
    return Statistics(step, classes, _tables(coefficients, np.float32(step), order, quantiser), quantiser)


def _outcomes(coefficients: Floats, step: np.float32, classes: Classes, quantiser: Quantiser) -> tuple[Table, Table]:
    """Counts of symbols `(CLASSES, SYMBOLS)`, and sums of what became each `(CLASSES, EXACT)`."""
    counts, sums = np.zeros((CLASSES, SYMBOLS)), np.zeros((CLASSES, EXACT))
    for picture in coefficients:
        places, magnitudes, symbols = _symbols(picture, step, classes, quantiser)
        own = classes[places].astype(np.intp)
        counts += np.bincount(own * SYMBOLS + symbols, minlength=counts.size).reshape(counts.shape)
        exact = symbols < EXACT
        at = own[exact] * EXACT + symbols[exact]
        sums += np.bincount(at, weights=magnitudes[exact], minlength=sums.size).reshape(sums.shape)
    counts[:, 0] += len(coefficients) * np.bincount(classes, minlength=CLASSES) - counts.sum(axis=1)
    return counts, sums


def _tables(coefficients: Floats, step: np.float32, order: Order, quantiser: Quantiser) -> NDArray[np.uint16]:
    """Tables from counts taken in the order in which symbols are sent."""
    common, grouped, flags = np.zeros((CLASSES, SYMBOLS)), np.zeros((CLASSES, SYMBOLS)), np.zeros((CLASSES, 2))
    classes = order.classes[:-1]
    for picture in coefficients:
        symbols = np.zeros(len(order.classes), np.uint8)
        places, _, symbols[places] = _symbols(picture, step, classes, quantiser)
        departs = symbols[order.groups].any(axis=1)
        common += _counts(order, order.common, symbols)
        grouped += _counts(order, order.groups[departs].ravel(), symbols)
        own = order.classes[order.leaders].astype(np.intp)
        flags += np.bincount(own * 2 + departs, minlength=flags.size).reshape(flags.shape)
    return tables_of(common, grouped, flags)


def _counts(order: Order, sent: Indices, symbols: NDArray[np.uint8]) -> Table:
    at = order.classes[sent].astype(np.intp) * SYMBOLS + symbols[sent]
    return np.bincount(at, minlength=CLASSES * SYMBOLS).reshape(CLASSES, SYMBOLS).astype(np.float64)


def _symbols(
    picture: Floats, step: np.float32, classes: Classes, quantiser: Quantiser
) -> tuple[NDArray[np.intp], Floats, NDArray[np.uint8]]:
    """Which coefficients are not zero at level 0, their magnitudes in steps, and their symbols."""
    magnitudes = np.abs(picture / step)
    places = np.flatnonzero(magnitudes >= quantiser.thresholds[classes])
    magnitudes = magnitudes[places]
    return places, magnitudes, symbols_of(quantiser.values(magnitudes, classes[places]))
