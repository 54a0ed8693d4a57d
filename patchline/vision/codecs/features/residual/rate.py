"""Rate control: how many bytes a picture will take at a level, and the gains of its bands.

The encoder looks for the finest level that fits. A draft of a picture (see `picture`) gives its length and costs as
much as the picture that is sent. So the first level is chosen by a count: how much of the picture exceeds its
thresholds at a level, times what a coefficient other than zero takes by the tables. On bottles and tiles this forecast
is within a fifth of the truth, mostly within a twentieth, and one or two drafts are enough.

A gain says how much more than usual a picture departs in a band: four bits a band that move its classes. A defect is
far outside the normal statistics, and tables made for normal pictures would spend a fifth more bytes on it. The gain
follows from how many coefficients of the band are not zero.
"""

from bisect import bisect_left
from collections.abc import Sequence
from math import log2

import numpy as np
from numpy.typing import NDArray

from patchline.vision.codecs.features.residual.order import GROUP, QUAD, RARE_BELOW, Indices
from patchline.vision.codecs.features.residual.tables import (
    CLASSES,
    COMMON,
    EXTRA_BITS,
    FLAGS,
    GROUPED,
    MASKS,
    NOTHING,
    PER_OCTAVE,
    VALUES,
    Classes,
    Table,
    occurrence_of,
    size_of_class,
)
from patchline.vision.pixels.arrays import Floats

GAINS = 16
_CLASSES_A_GAIN = 3
_LOWEST = -2
_SHIFTS = (np.arange(GAINS) + _LOWEST) * _CLASSES_A_GAIN
_MOVED = np.clip(np.arange(CLASSES) + _SHIFTS[:, None], 0, CLASSES - 1)
"""`(GAINS, CLASSES)`: the class after each gain."""

LEVELS = 256
_LEVELS_TO_HALVE, _LEAPS = 5, 4
"""About how many levels up leave half of what departs, and how often that is believed."""
_BYTES_ANYHOW, _SURPLUS, _DEPARTING = 35, 1.03, 1.05
"""Beside what the tables say: head and lanes, and more than usual once more where a picture departs from normal."""


def bounds() -> Floats:
    """`(LEVELS,)`: how far over its threshold at level 0 a coefficient must be to be sent, its class aside."""
    exact = np.exp2(np.arange(LEVELS) / PER_OCTAVE).astype(np.float32)
    below = np.nextafter(exact, np.float32(0))
    below[-1] = np.inf
    return below


def shares_left(thresholds: Floats, classes: Classes) -> NDArray[np.float64]:
    """`(LEVELS,)`: of what exceeds `bounds`, what exceeds the thresholds of the lower classes of a level as well.

    Reckoned for Laplacian coefficients that depart so much that they are at each level what is usual at level 0.
    """
    lowered = np.maximum(np.arange(CLASSES) - np.arange(LEVELS)[:, None], 0)
    population = np.bincount(classes, minlength=CLASSES)
    above = np.exp(-np.sqrt(2) * thresholds.astype(np.float64)[lowered] / size_of_class()) @ population
    shares: NDArray[np.float64] = above / above[0]
    return shares


def bytes_of_one(tables: NDArray[np.uint16], classes: Classes) -> float:
    """What a normal picture takes by the tables for each coefficient that is not zero."""
    shares = tables / tables.sum(axis=1, keepdims=True)
    bits = (shares * -np.log2(np.maximum(shares, 1e-9))).sum(axis=1)
    population = np.bincount(classes, minlength=CLASSES)
    departing = population * occurrence_of(tables)
    flags = bits[FLAGS:NOTHING] + _ones(tables[FLAGS:NOTHING]) * QUAD * bits[GROUPED:FLAGS]
    masks = np.where(np.arange(CLASSES) < RARE_BELOW, flags / (QUAD * GROUP), bits[COMMON:GROUPED] / QUAD)
    values = bits[VALUES:COMMON] + 1 + shares[VALUES:COMMON, : len(EXTRA_BITS) - 1] @ EXTRA_BITS[1:]
    return float(population @ masks + departing @ values) / 8 / max(float(departing.sum()), 1.0)


def _ones(tables: NDArray[np.uint16]) -> Table:
    """How many of a mask's four are set, on average."""
    ones = np.array([mask.bit_count() for mask in range(MASKS)])
    share: Table = tables[:, :MASKS] @ ones / tables.sum(axis=1)
    return share


class Forecast:
    """Of one picture.

    Args:
        excess: `(size,)`, magnitudes over their thresholds at level 0, in any order.
        bounds: See `bounds`.
        shares: See `shares_left`.
        bytes_of_one: See `bytes_of_one`.
    """

    def __init__(self, excess: Floats, bounds: Floats, shares: NDArray[np.float64], bytes_of_one: float) -> None:
        self._excess, self._bounds, self._shares, self._bytes_of_one = excess, bounds, shares, bytes_of_one
        self._counts: dict[int, int] = {}

    def count(self, level: int) -> int:
        """About how many coefficients are not zero at a level; none at the last."""
        if level not in self._counts:
            exceeding = np.count_nonzero(self._excess > self._bounds[level])
            self._counts[level] = round(float(exceeding * self._shares[level]))
        return self._counts[level]

    def level_for(self, limit: int) -> int:
        """The finest level that should keep within a limit of bytes."""
        allowed = (limit - _BYTES_ANYHOW) / (self._bytes_of_one * _SURPLUS)
        return 0 if self.count(0) <= allowed else self.level_with(allowed / _DEPARTING, 0, 1)

    def level_with(self, allowed: float, first: int, near: int) -> int:
        """The finest level from `first` on at which no more than so many coefficients are not zero, or the last.

        Args:
            allowed: So many.
            first: The finest level that comes into question.
            near: Where to look first; at least `first`.
        """
        below, fitting, probe, tries = first - 1, LEVELS - 1, near, 0
        while fitting - below > 1:
            count, tries = self.count(probe), tries + 1
            if count > allowed:
                below = probe
            else:
                fitting = probe
            leap = round(_LEVELS_TO_HALVE * log2((count + 1) / (allowed + 1)))
            probe = probe + leap if tries < _LEAPS else (below + fitting) // 2
            probe = min(max(probe, below + 1), fitting - 1)
        return fitting


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
