"""A bank in fewer dimensions and in cells: which rows look near, and which cannot be nearer than a bound.

The functions do the steps 1 to 4 of `exact`, in this order.
"""

from itertools import pairwise
from math import isqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from patchline.vision.nearest.brute_force import smallest
from patchline.vision.nearest.reduction import ROUNDING, Reduction, divide
from patchline.vision.pixels.arrays import Floats

_FEWEST_ROWS = 64
"""Rows that a cell has on average at least; smaller ones cost more calls than they spare products."""
_LEADING = 32
"""Dimensions in which cells are made; more change neither them nor what they rule out."""
_LOOKS = 64
"""Leading dimensions by which a row of the home cell looks near: enough for a bound, and half the memory to read."""
_KEYS = 1 << 17
"""Keys that are looked through at once: 0.5 MB of them stay in a core's own cache."""


class Cells:
    """The vectors of a reduced bank by cells, laid out for matrix products.

    A query `[1, q, limit]` times a block is `|c|² - 2 q·c - limit`: the squared distance less `|q|²` and a limit, from
    one product; `[1, q]` times `centres` is the same without one.

    Of the squared distances to two centres the difference is linear in where one stands: it changes by no more than
    `slopes` a step, and is `peaks` at most where a cell's vectors are. So where it is far above, the cell is far away.

    Args:
        reduced: `(N, D)` float64, the leading dimensions first.

    Attributes:
        rows: `(N,)`, rows of the bank, cell by cell.
        starts: `(cells + 1,)`, where in `rows` each cell starts, and the end.
        centres: `(D + 1, cells)` float32.
        radii: `(cells,)` float64, no vector of a cell is farther from its centre.
        slopes: `(cells, cells)` float32, twice the distance of two centres.
        peaks: `(cells, cells)` float32; at `[a, b]` the largest difference of a vector of b: its squared distance to
            b's centre less that to a's.
        blocks: For each cell `(D + 2, its rows)` float32.
    """

    def __init__(self, reduced: NDArray[np.float64]) -> None:
        count = max(1, min(isqrt(len(reduced)), len(reduced) // _FEWEST_ROWS))
        assignment, _ = divide(reduced[:, :_LEADING].astype(np.float32), count)
        self.rows = np.argsort(assignment, kind="stable")
        self.starts = np.concatenate([[0], np.cumsum(np.bincount(assignment))])
        bounds = list(pairwise(self.starts.tolist()))
        centres = np.stack([reduced[self.rows[start:end]].mean(axis=0) for start, end in bounds])
        keys = _keys(centres)
        self.centres: Floats = keys.astype(np.float32)
        slopes = [2 * np.sqrt(_squares(centres - centre)) for centre in centres]
        self.slopes: Floats = np.stack(slopes).astype(np.float32)
        self.radii = np.empty(len(bounds))
        self.peaks: Floats = np.empty(self.slopes.shape, dtype=np.float32)
        width = reduced.shape[1] + 2
        stored = np.empty(width * len(reduced), dtype=np.float32)  # all blocks side by side, in large pages
        self.blocks: list[Floats] = []
        for cell, (start, end) in enumerate(bounds):  # one by one: a bank in float64 is large enough once
            vectors = reduced[self.rows[start:end]]
            self.radii[cell] = np.sqrt(_squares(vectors - centres[cell]).max())
            to_centres = vectors @ keys[1:] + keys[0]
            self.peaks[:, cell] = (to_centres[:, cell, np.newaxis] - to_centres).max(axis=0)
            block = stored[width * start : width * end].reshape(width, -1)
            block[:-1], block[-1] = _keys(vectors), -1
            self.blocks.append(block)

    @property
    def sizes(self) -> NDArray[np.intp]:
        """How many rows each cell has."""
        return np.diff(self.starts)


def _squares(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    squares: NDArray[np.float64] = np.einsum("nd,nd->n", vectors, vectors)
    return squares


def _keys(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.vstack([_squares(vectors), -2 * vectors.T])


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
        """Step 1: queries reduced, and what may be wrong about that.

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
        """Step 2: the k rows of each query's home cell that look nearest, `(M, k)`."""
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
        """Steps 3 and 4: the rows that may be within each query's limits; None where these are over `most` pairs."""
        cells, count = self._cells, len(asked.extended)
        asked.extended[:, -1] = limits[1]
        # Step 3: cells that are too far away as a whole.
        opened, queries = np.divmod(
            np.flatnonzero(self._open_cells(asked, limits[0].astype(np.float32))), max(1, count)
        )
        counts = np.bincount(opened, minlength=len(cells.blocks))
        # Step 4: rows of the other cells that are too far away in the reduced dimensions. Keys at or below 0 are within
        # the limit. Small products share a buffer, since one look through many keys costs less than many looks.
        buffer = np.empty(max(_KEYS, self.largest_cell), dtype=np.float32)
        filled = before = left = start = 0
        places_of, keys_of = [np.empty(0, dtype=np.intp)], [np.empty(0, dtype=np.float32)]

        def look() -> int:
            found = np.flatnonzero(buffer[:filled] <= 0)
            places_of.append(found + before)
            keys_of.append(buffer[found])
            return len(found)

        for cell in np.flatnonzero(counts).tolist():
            block, end = cells.blocks[cell], start + int(counts[cell])
            columns = block.shape[1]
            step = len(buffer) // columns
            for first in range(start, end, step):
                part = asked.extended.take(queries[first : min(first + step, end)], axis=0)
                size = len(part) * columns
                if filled + size > len(buffer):
                    left, before, filled = left + look(), before + filled, 0
                np.matmul(part, block, out=buffer[filled : filled + size].reshape(len(part), columns))
                filled += size
            start = end
            if left > most:
                return None
        if left + look() > most:
            return None
        places, above = np.concatenate(places_of), np.concatenate(keys_of)
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
