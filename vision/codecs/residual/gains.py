"""How much more than usual a picture departs, band by band: four bits a band that move its classes.

A defect leaves the normal statistics far behind, and tables made for normal pictures would spend a fifth more bytes on
it. How many coefficients of a band are not zero tells its gain well enough, and costs one count.
"""

import numpy as np
from numpy.typing import NDArray

from vision.codecs.residual.classes import CLASSES
from vision.codecs.residual.order import Indices

GAINS = 16
_CLASSES_A_GAIN = 3
_LOWEST = -2
_SHIFTS = (np.arange(GAINS) + _LOWEST) * _CLASSES_A_GAIN
_MOVED = np.clip(np.arange(CLASSES) + _SHIFTS[:, None], 0, CLASSES - 1)
"""`(GAINS, CLASSES)`: the class after each gain."""


def moved_classes(gains: NDArray[np.uint8]) -> Indices:
    """The class after its band's gain of each key (see `Order.keys`)."""
    moved: Indices = _MOVED[gains].ravel()
    return moved


def expected_counts(populations: NDArray[np.intp], occurrence: NDArray[np.float64]) -> NDArray[np.float64]:
    """`(bands, GAINS)`: about the binary logarithm of how many coefficients of a band are not zero at a gain.

    Args:
        populations: `(bands, CLASSES)`, how many coefficients a band has of each class.
        occurrence: `(CLASSES,)`, the share of them that is not zero.
    """
    expected = np.maximum.accumulate(populations @ occurrence[_MOVED].T, axis=1)
    logarithms: NDArray[np.float64] = np.log2(expected + 1)
    return logarithms


def gains_of(counts: NDArray[np.intp], expected: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The gain of each band whose expected count is nearest to the count seen, on a scale of ratios."""
    seen = np.log2(counts + 1.0)[:, None]
    gains: NDArray[np.uint8] = np.abs(expected - seen).argmin(axis=1).astype(np.uint8)
    return gains
