"""A bank in fewer dimensions and by cells: which of its rows look near, and which cannot be as near as some bound."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from patchline.vision.nearest.brute_force import smallest
from patchline.vision.nearest.cells import Cells
from patchline.vision.nearest.reduction import ROUNDING, Reduction
from patchline.vision.nearest.sieve import Sieve
from patchline.vision.pixels.arrays import Floats

_LOOKS = 64
"""Leading dimensions by which a row of the home cell looks near: enough for a bound, and half the memory to read."""

Limits = tuple[NDArray[np.float64], Floats]
"""How far a neighbour can be, and what a squared distance less the query's square must not exceed, `(M,)` each."""


class Asked(NamedTuple):
    """Queries on their way through the cells.

    Attributes:
        extended: `(M, D + 2)`, what meets the blocks of the cells; the limit, the last, is that of the latest `within`.
        to_centres: Squared distances less the queries' own squares, `(M, cells)`.
        homes: The cell of each query whose centre is nearest, of those that have enough rows, `(M,)`.
        squares: Of the reduced queries' lengths, `(M,)`.
        error: How far each is from its true reduction at most, `(M,)`.
        doubt: How much too large squared distances and sums of them may come out of matrix products, `(M,)`.
        k: How many neighbours are asked for.
    """

    extended: Floats
    to_centres: Floats
    homes: NDArray[np.intp]
    squares: NDArray[np.float64]
    error: NDArray[np.float64]
    doubt: NDArray[np.float64]
    k: int

    def limits(self, bounds: NDArray[np.float64]) -> Limits:
        """In the reduced dimensions, for rows that are no farther than these bounds in all."""
        reach = bounds + self.error
        return reach, (reach * reach + self.doubt - self.squares).astype(np.float32)


class Hits(NamedTuple):
    """Pairs that could not be ruled out, `(P,)` each: query, row of the bank, and how far above its limit it is."""

    queries: NDArray[np.intp]
    rows: NDArray[np.intp]
    above: Floats


class ReducedBank:
    """A bank's rows in its leading principal axes, and in cells.

    Args:
        bank: `(N, C)`.
        dimensions: How many axes.
    """

    def __init__(self, bank: Floats, dimensions: int) -> None:
        self._reduction = Reduction(bank, dimensions)
        reduced = self._reduction.reduce(bank)
        self._cells = Cells(reduced)
        self._sizes = self._cells.sizes
        self._radii: Floats = self._cells.radii.astype(np.float32)
        self._longest = float(np.sqrt(np.einsum("nd,nd->n", reduced, reduced).max()))

    @property
    def largest_cell(self) -> int:
        """Rows of the largest cell: no more neighbours can be asked for."""
        return int(self._sizes.max())

    def ask(self, vectors: Floats, k: int) -> Asked:
        """Queries reduced, and what may be wrong about that.

        A product of D terms is off by D roundings of `|q| |b|` at most, its inputs and sums with squares by a few more,
        and three such stand in one comparison; a row's last dimension, a root of a difference, is by under `2**-20`.
        """
        dimensions = self._reduction.dimensions
        extended = np.ones((len(vectors), dimensions + 3), dtype=np.float32)
        reduced = extended[:, 1:-1]
        error = self._reduction.estimate(vectors, reduced) + 2.0**-20 * self._longest
        squares = np.einsum("md,md->m", reduced, reduced).astype(np.float64)
        lengths = np.sqrt(squares) + self._longest
        doubt = 3 * (dimensions + 24) * ROUNDING * lengths * lengths
        to_centres = extended[:, :-1] @ self._cells.centres
        homes = (to_centres if k == 1 else np.where(self._sizes >= k, to_centres, np.inf)).argmin(axis=1)
        return Asked(extended, to_centres, homes, squares, error, doubt, k)

    def near_home(self, asked: Asked) -> NDArray[np.intp]:
        """The k rows of each query's home cell that look nearest, `(M, k)`."""
        cells, homes = self._cells, asked.homes
        order = np.argsort(homes, kind="stable")
        looks = asked.extended[:, : 1 + _LOOKS][order]
        counts = np.bincount(homes, minlength=len(cells.blocks))
        found = np.empty((len(homes), asked.k), dtype=np.intp)
        start = 0
        for cell in np.flatnonzero(counts).tolist():
            end = start + int(counts[cell])
            keys = looks[start:end] @ cells.blocks[cell][: looks.shape[1]]
            np.add(smallest(keys, asked.k), cells.starts[cell], out=found[start:end])
            start = end
        near = np.empty_like(found)
        near[order] = cells.rows[found]
        return near

    def within(self, asked: Asked, limits: Limits, most: int) -> Hits | None:
        """The rows that may be within the limits of each query; None where more than so many pairs are left."""
        cells, count = self._cells, len(asked.extended)
        asked.extended[:, -1] = limits[1]
        opened, queries = np.divmod(
            np.flatnonzero(self._open_cells(asked, limits[0].astype(np.float32))), max(1, count)
        )
        counts = np.bincount(opened, minlength=len(cells.blocks))
        sieve = Sieve(self.largest_cell)
        start = 0
        for cell in np.flatnonzero(counts).tolist():
            block, end = cells.blocks[cell], start + int(counts[cell])
            step = sieve.capacity // block.shape[1]
            for first in range(start, end, step):
                part = asked.extended.take(queries[first : min(first + step, end)], axis=0)
                np.matmul(part, block, out=sieve.room(len(part), block.shape[1]))
            start = end
            if sieve.count > most:
                return None
        places, above = sieve.kept()
        if len(places) > most:
            return None
        starts = np.cumsum(self._sizes[opened]) - self._sizes[opened]
        turn = np.searchsorted(starts, places, side="right") - 1
        rows = cells.rows[cells.starts[opened[turn]] + places - starts[turn]]
        return Hits(queries[turn], rows, above)

    def _open_cells(self, asked: Asked, reach: Floats) -> NDArray[np.bool_]:
        """Which cells a query cannot rule out whole, `(cells, M)`."""
        cells, homes, to_centres = self._cells, asked.homes, asked.to_centres
        farthest = reach[:, np.newaxis] + self._radii
        farthest *= farthest
        farthest += (asked.doubt - asked.squares).astype(np.float32)[:, np.newaxis]
        open_cells = to_centres <= farthest
        beyond = np.multiply(cells.slopes.take(homes, axis=0), reach[:, np.newaxis], out=farthest)
        beyond += cells.peaks.take(homes, axis=0)
        to_home = np.take_along_axis(to_centres, homes[:, np.newaxis], axis=1)
        beyond += to_home + asked.doubt.astype(np.float32)[:, np.newaxis]
        open_cells &= to_centres <= beyond
        return np.ascontiguousarray(open_cells.T)
