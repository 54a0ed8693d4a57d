"""How much more than usual a picture departs, band by band: four bits a band that move its classes.

A defect leaves the normal statistics far behind, and tables made for normal pictures would spend a fifth more bytes on
it. How many coefficients of a band are not zero tells its gain well enough, and costs one count.
"""

import numpy as np
from numpy.typing import NDArray

from vision.codecs.residual.classes import CLASSES
from vision.codecs.residual.order import Order

GAINS = 16
_CLASSES_A_GAIN = 3
_LOWEST = -2
_MARGIN = -_LOWEST * _CLASSES_A_GAIN
_ROW_OF = np.clip(np.arange(CLASSES + GAINS * _CLASSES_A_GAIN) - _MARGIN, 0, CLASSES - 1)
"""By class, shift and margin together, the class after the shift: quicker than to clip."""

Shifts = NDArray[np.int16]


def shifts_of(gains: NDArray[np.uint8]) -> Shifts:
    """By how many classes each gain moves its band."""
    return (gains.astype(np.int16) + _LOWEST) * _CLASSES_A_GAIN


def shifted(order: Order, places: NDArray[np.intp], shifts: Shifts) -> NDArray[np.intp]:
    """The classes of coefficients once their bands' gains are applied."""
    moved: NDArray[np.intp] = _ROW_OF[order.classes[places] + (shifts + _MARGIN)[order.bands[places]]]
    return moved


def expected_counts(order: Order, occurrence: NDArray[np.float64], bands: int) -> NDArray[np.float64]:
    """`(bands, GAINS)`: how many coefficients of a band are not zero at a gain, `occurrence` being their share."""
    expected = np.empty((bands, GAINS))
    size = len(order.classes) - 1
    for gain in range(GAINS):
        moved = shifted(order, np.arange(size), np.repeat(shifts_of(np.array([gain], np.uint8)), bands))
        expected[:, gain] = np.bincount(order.bands[:size], weights=occurrence[moved], minlength=bands)
    return np.maximum.accumulate(expected, axis=1)


def gains_of(counts: NDArray[np.intp], expected: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The gain of each band whose expected count is nearest to the count seen, on a scale of ratios."""
    seen = np.log2(counts + 1.0)[:, None]
    gains: NDArray[np.uint8] = np.abs(np.log2(expected + 1.0) - seen).argmin(axis=1).astype(np.uint8)
    return gains
