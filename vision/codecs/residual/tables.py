"""How often each value occurs, by class; from that the bits, the quantiser's thresholds and what a value stands for.

The quantiser is uniform with one step for all coefficients, as reverse water-filling asks (Cover and Thomas, 2006,
section 10.3.3: every component gets the same distortion, or nothing where its variance is below it). Its thresholds
minimise distortion plus `LAGRANGIAN` times bits (Sullivan, 1996, "Efficient scalar quantization of exponential and
Laplacian random variables"), so the dead zone is wider where a value other than zero is rarer; each value stands for
the mean of what became it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vision.codecs.residual.classes import CLASSES, size_of_class
from vision.codecs.residual.lanes import WHOLE

SYMBOLS = 24
EXACT = 16
"""Values below are symbols of their own; each symbol above stands for an octave and is followed by plain bits."""
LARGEST = (EXACT << (SYMBOLS - EXACT)) - 1
COMMON, GROUPED, FLAGS, NOTHING = 0, CLASSES, 2 * CLASSES, 3 * CLASSES
"""First rows of tables: for coefficients by themselves, in groups that depart, for groups' flags, and for nothing."""
ROWS = NOTHING + 1
LAGRANGIAN = 0.12
"""Squared steps that a bit is worth; the theory for fine steps says about 6 ln 2 / 36."""

_PRIOR_COUNT = 40.0
_RAREST = 1 / WHOLE
_FIRST_THRESHOLD, _FIRST_ROUNDING = 0.6, 0.4

Table = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Quantiser:
    """One quantiser for each class, in steps.

    Attributes:
        thresholds: `(CLASSES,)`: magnitudes below become 0.
        roundings: `(CLASSES,)`: what is added before a magnitude is cut to a whole number.
        centroids: `(CLASSES, EXACT)`: what a value stands for.
    """

    thresholds: NDArray[np.float32]
    roundings: NDArray[np.float32]
    centroids: NDArray[np.float32]

    @classmethod
    def first(cls) -> "Quantiser":
        """One to start from."""
        return cls(
            np.full(CLASSES, _FIRST_THRESHOLD, np.float32),
            np.full(CLASSES, _FIRST_ROUNDING, np.float32),
            np.tile(np.arange(EXACT, dtype=np.float32), (CLASSES, 1)),
        )

    def values(self, magnitudes: NDArray[np.float32], classes: NDArray[np.integer]) -> NDArray[np.uint16]:
        """The values of magnitudes that are above their thresholds, from 1."""
        cut = np.minimum(magnitudes + self.roundings[classes], LARGEST).astype(np.uint16)
        values: NDArray[np.uint16] = np.maximum(cut, 1)
        return values


def laplacian_counts() -> Table:
    """Expected counts of symbols `(CLASSES, SYMBOLS)` of values with a Laplacian distribution of each class's size."""
    edges = np.append(np.arange(EXACT), EXACT << np.arange(SYMBOLS - EXACT + 1))[: SYMBOLS + 1].astype(np.float64)
    edges[1:] -= 1 - _FIRST_THRESHOLD
    beyond = np.exp(-np.sqrt(2) * edges / size_of_class()[:, None])
    beyond[:, -1] = 0
    counts: Table = _PRIOR_COUNT * (beyond[:, :-1] - beyond[:, 1:])
    return counts


def frequencies_of(counts: Table) -> NDArray[np.uint16]:
    """Integer frequencies `(rows, symbols)` that add up to `WHOLE`, at least 1 each, of counts.

    What rounding leaves over goes to the most frequent symbol, so the tables are alike on every machine.
    """
    room = WHOLE - counts.shape[1]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1e-30)
    frequencies = np.floor(shares * room).astype(np.int64) + 1
    rows = np.arange(len(frequencies))
    frequencies[rows, frequencies.argmax(axis=1)] += WHOLE - frequencies.sum(axis=1)
    rounded: NDArray[np.uint16] = frequencies.astype(np.uint16)
    return rounded


def tables_of(common: Table, grouped: Table, flags: Table) -> NDArray[np.uint16]:
    """All tables, `(ROWS, SYMBOLS)`.

    Args:
        common: `(CLASSES, SYMBOLS)` counts of symbols outside groups.
        grouped: The same in groups that depart.
        flags: `(CLASSES, 2)` counts of groups that do not and that do.
    """
    tables = np.zeros((ROWS, SYMBOLS), dtype=np.uint16)
    prior = laplacian_counts()
    tables[COMMON:GROUPED] = frequencies_of(common + prior)
    tables[GROUPED:FLAGS] = frequencies_of(grouped + prior)
    zero = np.minimum((prior[:, 0] / prior.sum(axis=1)) ** 16, 0.999)
    tables[FLAGS:NOTHING, :2] = frequencies_of(flags + _PRIOR_COUNT * np.stack([zero, 1 - zero], axis=1))
    tables[NOTHING, 0] = WHOLE
    return tables


def quantiser_of(counts: Table, sums: Table) -> Quantiser:
    """The quantiser for which these are the best tables.

    Args:
        counts: `(CLASSES, SYMBOLS)` of symbols.
        sums: `(CLASSES, EXACT)` of the magnitudes that became each, in steps.
    """
    prior = laplacian_counts()
    bits = -np.log2(np.maximum((counts + prior) / (counts + prior).sum(axis=1, keepdims=True), _RAREST))
    whole = np.arange(EXACT)
    centroids = (sums + _PRIOR_COUNT * whole) / (counts[:, :EXACT] + _PRIOR_COUNT)
    centroids[:, 0] = 0
    extra = bits[:, 1] + 1 - bits[:, 0]
    first = centroids[:, 1]
    thresholds = np.clip((first**2 + LAGRANGIAN * extra) / (2 * first), 0.5, 1.6)
    roundings = np.clip(0.5 - LAGRANGIAN * (bits[:, 2] - bits[:, 1]) / 2, 0.2, 0.5)
    return Quantiser(*(array.astype(np.float32) for array in (thresholds, roundings, centroids)))
