"""Where the coefficients stand at one level: the encoder keeps them in one sequence, and each level sends it in pieces.

Within a band the sequence falls from the largest usual size to the smallest, so what is common at a level is the head
of each band and what is rare is its tail. Two slices a band say everything, and no level needs an index of its own.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from patchline.vision.pixels.arrays import Floats

Indices = NDArray[np.intp]
Piece = tuple[slice, slice]
"""The same coefficients in the sequence and among the positions."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """How positions at one level and the sequence go together.

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
