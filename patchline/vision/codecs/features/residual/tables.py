"""How often each value occurs, by class, and from that the tables, the quantiser and what a value stands for.

A coefficient's class says how large it usually is, in steps of a sixth of an octave. A value is a symbol of a small
alphabet; symbols from `EXACT` on stand for octaves: the k-th begins at `EXACT << k`, and `4 + k` plain bits say where
in it a value lies (exponential Golomb codes; Teuhola, 1978).

The quantiser is uniform with one step for all coefficients, as reverse water-filling asks (Cover and Thomas, 2006,
section 10.3.3: every component gets the same distortion, or nothing where its variance is below it). Its thresholds
minimise distortion plus `LAGRANGIAN` times bits (Sullivan, 1996, "Efficient scalar quantization of exponential and
Laplacian random variables"), so the dead zone is wider where a value other than zero is rarer; each value stands for
the mean of what became it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from patchline.vision.codecs.features.residual.entropy import WHOLE

CLASSES = 64
PER_OCTAVE = 6
"""Classes, and levels of the step, to a factor of two: a level up moves every coefficient one class down."""
OCTAVES_BELOW = 4.5
"""How far below the step the lowest class lies: 22 times smaller, a value other than zero is one in ten thousand."""
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

_FIRST_BITS = 4
_WIDTH = 16

Bits = NDArray[np.uint8]
Values = NDArray[np.integer]

_EVERY_VALUE = np.arange(LARGEST + 1)
_OCTAVES = np.log2(np.maximum(_EVERY_VALUE, EXACT)).astype(np.uint8) - np.uint8(_FIRST_BITS)
_SYMBOLS = np.where(_EVERY_VALUE < EXACT, _EVERY_VALUE, EXACT + _OCTAVES).astype(np.uint8)
EXTRA_BITS = np.maximum(np.arange(SYMBOLS) - EXACT + _FIRST_BITS, 0) * (np.arange(SYMBOLS) >= EXACT)
"""How many plain bits go with each symbol, beside the sign."""
Table = NDArray[np.float64]
Classes = NDArray[np.uint8]


def classes_of(sizes: NDArray[np.float64], step: float) -> Classes:
    """The class of each coefficient at a step."""
    octaves = np.log2(np.maximum(sizes / step, 1e-9)) + OCTAVES_BELOW
    return np.clip(np.floor(octaves * PER_OCTAVE), 0, CLASSES - 1).astype(np.uint8)


def size_of_class() -> NDArray[np.float64]:
    """The standard deviation in the middle of each class, in steps."""
    sizes: NDArray[np.float64] = np.exp2((np.arange(CLASSES) + 0.5) / PER_OCTAVE - OCTAVES_BELOW)
    return sizes


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


def symbols_of(values: Values) -> NDArray[np.uint8]:
    """The symbol of each value, 0 to `LARGEST`."""
    symbols: NDArray[np.uint8] = _SYMBOLS[values]
    return symbols


def plain_bits(negative: NDArray[np.bool_], values: Values) -> Bits:
    """Signs, then the places of large values in their octaves, octave by octave, one bit a number."""
    signs = negative.view(np.uint8)
    large = values[(values >= EXACT).nonzero()[0]]
    if not len(large):
        return signs
    octaves = _OCTAVES[large]
    by_octave = octaves.argsort(kind="stable")
    large, octaves = large[by_octave], octaves[by_octave]
    digits = np.unpackbits((large - (EXACT << octaves.astype(np.intp))).astype(">u2").view(np.uint8))
    used = np.arange(_WIDTH) >= _WIDTH - _FIRST_BITS - octaves.astype(np.intp)[:, None]
    return np.concatenate([signs, digits.reshape(used.shape)[used]])


def plain_bit_count(symbols: NDArray[np.uint8]) -> int:
    """How many plain bits go with symbols, none of which is 0."""
    return len(symbols) + int(np.bincount(symbols, minlength=SYMBOLS) @ EXTRA_BITS)


def values_of(symbols: NDArray[np.uint8], bits: Bits) -> tuple[NDArray[np.bool_], NDArray[np.uint16]]:
    """Which values are negative, and their magnitudes, from symbols other than 0 and exactly their plain bits."""
    count = len(symbols)
    values, at = symbols.astype(np.uint16), count
    for octave in range(int(symbols.max(initial=0)) - EXACT + 1):
        large = np.flatnonzero(symbols == EXACT + octave)
        width = _FIRST_BITS + octave
        digits = np.zeros((len(large), _WIDTH), dtype=np.uint8)
        digits[:, _WIDTH - width :] = bits[at : at + len(large) * width].reshape(-1, width)
        values[large] = (EXACT << octave) + np.packbits(digits, axis=1).view(">u2")[:, 0].astype(np.uint16)
        at += len(large) * width
    return bits[:count].astype(np.bool_), values
