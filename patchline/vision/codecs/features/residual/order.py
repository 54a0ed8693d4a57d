"""What of a picture is coded in which order, so that the many coefficients that are almost always zero cost no time.

Coefficients of a band lie with those of their size. Four neighbours are a quad, and one symbol says which of the four
are not zero. Quads of a class where most coefficients are zero go four to a group: a flag says whether anything in it
departs, and only then are its quads coded; four groups' flags are a symbol too. So nothing is cut off, however unusual.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from patchline.vision.codecs.features.residual.tables import CLASSES, Classes
from patchline.vision.pixels.arrays import Floats

RARE_BELOW = 15
"""Classes below are grouped: at most some three in a hundred of their values are not zero."""
QUAD = 4
GROUP = QUAD * QUAD
_FOUR = np.uint32(0x01020408)
"""Times four bytes of 0 or 1, it gathers them as the four lowest bits of the highest byte."""
_HIGHEST = np.uint32(24)

Masks = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Indices = NDArray[np.intp]
Piece = tuple[slice, slice]
"""The same coefficients in the sequence and among the positions."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """How positions at one level and the encoder's sequence of coefficients go together.

    Within a band the sequence falls from the largest usual size to the smallest. So what is common at a level is the
    head of each band and what is rare is its tail: two slices a band are enough, and no level needs an index.

    Attributes:
        size: Positions, those that stay empty among them.
        slices: Pieces in the order of their positions.
        starts: `(pieces,)`, the first position of each.
        shifts: `(pieces,)`, from a position to its place in the sequence.
        bands: `(pieces,)`, the band of each.
    """

    size: int
    slices: tuple[Piece, ...]
    starts: Indices
    shifts: Indices
    bands: Indices

    @classmethod
    def of(cls, rare: NDArray[np.bool_], bands: NDArray[np.uint8], first_rare: int, size: int) -> "Pieces":
        """The pieces of a level.

        Args:
            rare: `(coefficients,)`, in the sequence's order.
            bands: `(coefficients,)`, the same.
            first_rare: The first position of those that are rare.
            size: Positions in all.
        """
        slices, owners = [], []
        for part, position in ((~rare, 0), (rare, first_rare)):
            at = position
            places = np.flatnonzero(part)
            breaks = np.flatnonzero((np.diff(places) != 1) | (np.diff(bands[places]) != 0)) + 1
            for run in np.split(places, breaks) if len(places) else []:
                slices.append((slice(int(run[0]), int(run[-1]) + 1), slice(at, at + len(run))))
                owners.append(int(bands[run[0]]))
                at += len(run)
        starts = np.array([own.start for _, own in slices], np.intp)
        firsts = np.array([sequence.start for sequence, _ in slices], np.intp)
        return cls(size, tuple(slices), starts, firsts - starts, np.array(owners, np.intp))

    def departing(self, excess: Floats, bounds: Floats) -> NDArray[np.bool_]:
        """`(size,)`, which positions hold more than their bounds, both in the sequence's order; empty ones do not."""
        departing = np.zeros(self.size, np.bool_)
        for sequence, own in self.slices:
            np.greater(excess[sequence], bounds[sequence], out=departing[own])
        return departing

    def found(self, positions: Indices) -> tuple[Indices, Indices]:
        """The places in the sequence of rising positions, and how many of them each piece holds."""
        ends = np.append(positions.searchsorted(self.starts), len(positions))
        counts = ends[1:] - ends[:-1]
        return positions + np.repeat(self.shifts, counts), counts


@dataclass(frozen=True, slots=True)
class Order:
    """The order at one level of the step.

    Attributes:
        places: `(positions,)`, the coefficient at each position; one more than there are where a position is empty.
        positions: `(size,)`, the position of each coefficient.
        common: How many quads, the first ones, are always coded.
        keys: `(quads,)`: `CLASSES` times the band, plus the class, of each quad; in groups, of the group's first.
        pieces: How positions and the sequence (see `sequence_of`) go together.
    """

    places: Indices
    positions: NDArray[np.int32]
    common: int
    keys: Indices
    pieces: Pieces

    @property
    def flag_keys(self) -> Indices:
        """The key of each four groups: their first group's."""
        keys: Indices = self.keys[self.common :: GROUP]
        return keys

    def quads(self, departing: Mask) -> tuple[Masks, Masks, Mask]:
        """Masks of flags, masks of the quads that are coded, and flags, of which positions are not zero."""
        masks = masks_of(departing)
        groups = masks[self.common :].view("<u4")
        flags = groups != 0
        return masks_of(flags), np.concatenate([masks[: self.common], groups[flags].view(np.uint8)]), flags

    def sent_keys(self, flags: Mask) -> Indices:
        """The keys of the quads that are coded."""
        return np.concatenate([self.keys[: self.common], self.keys[self.common :: QUAD][flags].repeat(QUAD)])

    def flags(self, masks: Masks) -> Mask:
        """Flags, one a group, from their masks."""
        flags: Mask = bits_of(masks).ravel()
        return flags

    def departing(self, masks: Masks, flags: Mask) -> Indices:
        """The way back from masks of the coded quads: the positions that are not zero."""
        quads = np.concatenate([np.arange(self.common), _quads_of(np.flatnonzero(flags), self.common)])
        which, bit = np.nonzero(bits_of(masks))
        return quads[which] * QUAD + bit


def sequence_of(classes: Classes, bands: NDArray[np.uint8]) -> Indices:
    """`(size,)`: coefficients by band, within a band by class at level 0, the largest first, and else as they come."""
    return np.lexsort((-classes.astype(np.int16), bands))


def order_at(level: int, classes: Classes, bands: NDArray[np.uint8]) -> Order:
    """The order at a level of the step, from the classes `(size,)` at level 0 and the bands `(size,)`."""
    size = len(classes)
    lowered = np.append(np.maximum(classes.astype(np.intp) - level, 0), 0)
    rare = lowered[:-1] < RARE_BELOW
    # by what they were at level 0, since at higher levels many share the lowest class
    within = sequence_of(classes, bands)
    common = _filled(within[~rare[within]], QUAD, size)
    places = np.concatenate([common, _filled(within[rare[within]], QUAD * GROUP, size)])
    positions = np.zeros(size + 1, np.int32)
    positions[places] = np.arange(len(places), dtype=np.int32)
    leaders = np.concatenate([common[::QUAD], np.repeat(places[len(common) :: GROUP], QUAD)])
    keys = np.append(bands, np.uint8(0)).astype(np.intp) * CLASSES + lowered
    pieces = Pieces.of(rare[within], bands[within], len(common), len(places))
    return Order(places, positions[:-1], len(common) // QUAD, keys[leaders], pieces)


def masks_of(bits: Mask) -> Masks:
    """Four at a time as numbers, the first the lowest bit."""
    return (bits.view("<u4") * _FOUR >> _HIGHEST).astype(np.uint8)


def bits_of(masks: Masks) -> Mask:
    """`(masks, QUAD)`, which bits of masks are set, the lowest first."""
    bits: Mask = (masks[:, None] >> np.arange(QUAD, dtype=np.uint8) & np.uint8(1)).astype(np.bool_)
    return bits


def _quads_of(groups: Indices, common: int) -> Indices:
    quads: Indices = (common + groups[:, None] * QUAD + np.arange(QUAD)).ravel()
    return quads


def _filled(places: Indices, unit: int, filler: int) -> Indices:
    filled = np.full(-(-len(places) // unit) * unit, filler, dtype=np.intp)
    filled[: len(places)] = places
    return filled
