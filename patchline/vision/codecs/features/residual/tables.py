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

from patchline.vision.codecs.features.residual.classes import CLASSES, size_of_class
from patchline.vision.codecs.features.residual.lanes import WHOLE

SYMBOLS = 24
EXACT = 16
"""Values below are symbols of their own; each symbol above stands for an octave and is followed by plain bits."""
LARGEST = (EXACT << (SYMBOLS - EXACT)) - 1
VALUES, COMMON, GROUPED, FLAGS, NOTHING = (CLASSES * number for number in range(5))
"""First rows of tables: for values other than zero, for masks of quads by themselves and of those in groups that
depart, for masks of flags, and for nothing."""
ROWS = NOTHING + 1
MASKS = 16
VALUE_SYMBOLS = SYMBOLS - 1
"""A value is not zero, so its symbol is sent less 1."""
LAGRANGIAN = 0.12
"""Squared steps that a bit is worth; the theory for fine steps says about 6 ln 2 / 36."""

_PRIOR_COUNT = 40.0
_ONES = np.array([mask.bit_count() for mask in range(MASKS)], dtype=np.float64)
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


def quantised(magnitudes: NDArray[np.float32], roundings: NDArray[np.float32]) -> NDArray[np.intp]:
    """The values of magnitudes in steps that are above their thresholds, from 1, each with its rounding."""
    values: NDArray[np.intp] = np.minimum(np.maximum(magnitudes + roundings, 1), LARGEST).astype(np.intp)
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


def tables_of(values: Table, common: Table, grouped: Table, flags: Table) -> NDArray[np.uint16]:
    """All tables, `(ROWS, SYMBOLS)`.

    Args:
        values: `(CLASSES, SYMBOLS)` counts of symbols of coefficients.
        common: `(CLASSES, MASKS)` counts of masks of all quads.
        grouped: The same of those in groups that depart.
        flags: The same of masks of flags.
    """
    prior = laplacian_counts()
    zero = prior[:, 0] / prior.sum(axis=1)
    tables = np.zeros((ROWS, SYMBOLS), dtype=np.uint16)
    tables[VALUES:COMMON, :VALUE_SYMBOLS] = frequencies_of((values + prior)[:, 1:])
    tables[COMMON:GROUPED, :MASKS] = frequencies_of(common + _PRIOR_COUNT * independent_masks(zero))
    departing = independent_masks(zero)
    departing[:, 0] *= (1 - zero**12) / (1 - zero**16)  # a group's other three quads must depart
    tables[GROUPED:FLAGS, :MASKS] = frequencies_of(grouped + _PRIOR_COUNT * departing)
    tables[FLAGS:NOTHING, :MASKS] = frequencies_of(
        flags + _PRIOR_COUNT * independent_masks(np.minimum(zero**16, 0.999))
    )
    tables[NOTHING, 0] = WHOLE
    return tables


def occurrence_of(tables: NDArray[np.uint16]) -> Table:
    """`(CLASSES,)`, the share of coefficients of each class that are not zero, of the tables."""
    share: Table = tables[COMMON:GROUPED, :MASKS] @ _ONES / (4 * WHOLE)
    return share


def independent_masks(zero: Table) -> Table:
    """How often each mask occurs, `(rows, MASKS)`, when each of its four is zero that often, `(rows,)`."""
    shares: Table = (1 - zero)[:, None] ** _ONES * zero[:, None] ** (4 - _ONES)
    return shares


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
