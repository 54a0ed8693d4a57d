"""How much more than usual a picture departs, band by band: four bits a band that move its classes.

A defect leaves the normal statistics far behind, and tables made for normal pictures would spend a fifth more bytes on
it. How many coefficients of a band are not zero tells its gain well enough, and costs one count.
"""

from bisect import bisect_left
from collections.abc import Sequence
from math import log2

import numpy as np
from numpy.typing import NDArray

from patchline.vision.codecs.features.residual.classes import CLASSES
from patchline.vision.codecs.features.residual.pieces import Indices

GAINS = 16
_CLASSES_A_GAIN = 3
_LOWEST = -2
_SHIFTS = (np.arange(GAINS) + _LOWEST) * _CLASSES_A_GAIN
_MOVED = np.clip(np.arange(CLASSES) + _SHIFTS[:, None], 0, CLASSES - 1)
"""`(GAINS, CLASSES)`: the class after each gain."""


def moved_classes(gains: Sequence[int] | NDArray[np.uint8]) -> Indices:
    """The class after its band's gain of each key (see `Order.keys`)."""
    moved: Indices = _MOVED.take(gains, axis=0).ravel()
    return moved


class Scale:
    """Which gain goes with how many coefficients of a band.

    Args:
        populations: `(bands, CLASSES)`, how many coefficients a band has of each class.
        occurrence: `(CLASSES,)`, the share of them that is not zero.
    """

    def __init__(self, populations: NDArray[np.intp], occurrence: NDArray[np.float64]) -> None:
        expected = np.log2(np.maximum.accumulate(populations @ occurrence[_MOVED].T, axis=1) + 1)
        self._bands: list[tuple[list[float], list[int]]] = []
        for band in expected:
            counts, gains = np.unique(band, return_index=True)
            self._bands.append((((counts[1:] + counts[:-1]) / 2).tolist(), gains.tolist()))

    def gains(self, counts: list[int]) -> list[int]:
        """The gain of each band whose expected count is nearest to the count seen, on a scale of ratios."""
        return [
            gains[bisect_left(middles, log2(count + 1))]
            for (middles, gains), count in zip(self._bands, counts, strict=True)
        ]
