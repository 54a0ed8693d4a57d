"""Exact nearest neighbours that measure few distances, because most rows of a bank can be ruled out.

1. Queries and bank are reduced to fewer dimensions, in which no distance grows (`reduction`).
2. A query's home is the cell whose centre is nearest. The k rows that look nearest there are measured in all
   dimensions: the k-th distance bounds how far the k-th neighbour can be.
3. Cells beyond the bound are ruled out as a whole: by the distance to their centre less their radius (triangle
   inequality), and by how far they lie behind the plane halfway between home and them.
4. Of the rows of the other cells, those beyond the bound in the reduced dimensions are ruled out.
5. Of the rows that are left, the one that looks nearest is measured, which lowers the bound; then those still within.

Of 784 patches against 16,386 rows of a ResNet-18, one pair in twenty reaches step 4 and one in three thousand is
measured. Steps 1 to 4 are in `pruning`.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from patchline.vision.nearest.brute_force import BruteForceSearch, squared_distances
from patchline.vision.nearest.pruning import Asked, Hits, ReducedBank
from patchline.vision.nearest.reduction import ROUNDING
from patchline.vision.pixels.arrays import Floats

_DIMENSIONS = 144
"""Of step 4: more leave fewer rows to measure, fewer take fewer products; within a tenth from 128 to 160."""
_QUERY_BLOCK = 4096
_BRUTE_SHARE = 16
"""Where more than one row in so many is left to be measured, measuring all by matrix products is faster."""

Pairs = tuple[NDArray[np.intp], NDArray[np.intp]]
"""Queries and rows of the bank, `(P,)` each."""


class _Measured(NamedTuple):
    """Pairs that were measured in all dimensions, `(P,)` each."""

    queries: NDArray[np.intp]
    rows: NDArray[np.intp]
    squared: Floats


class ExactSearch:
    """Exact Euclidean nearest neighbours in a bank.

    Distances are float32 of differences: a vector that is in the bank has distance 0, near ones keep their digits, and
    no distance is over the true smallest by more than its own rounding. A row is ruled out only where the largest
    possible error of float32 leaves no doubt. Banks that cannot be pruned (most rows equal, or all equally far) are
    searched by brute force in float64.

    Args:
        bank: `(N, C)`.
    """

    def __init__(self, bank: Floats) -> None:
        self.bank = np.ascontiguousarray(bank, dtype=np.float32)
        self._reduced = ReducedBank(self.bank, _DIMENSIONS)

    def nearest(self, vectors: Floats) -> tuple[Floats, NDArray[np.intp]]:
        """For each vector, `(M, C)`, its distance to the nearest of the bank and that one's row, both `(M,)`."""
        distances, rows = self.query(vectors, 1)
        return distances[:, 0], rows[:, 0]

    def query(self, vectors: Floats, k: int) -> tuple[Floats, NDArray[np.intp]]:
        """The k nearest vectors of the bank, nearest first, and the lowest row first among equally near ones.

        Args:
            vectors: `(M, C)`.
            k: How many; all of the bank where it has fewer.

        Returns:
            Distances, Euclidean and not squared, and rows of the bank, both `(M, k)`.
        """
        k = min(k, len(self.bank))
        distances = np.empty((len(vectors), k), dtype=np.float32)
        indices = np.empty((len(vectors), k), dtype=np.intp)
        for start in range(0, len(vectors), _QUERY_BLOCK):
            block = slice(start, start + _QUERY_BLOCK)
            measured = self._measured(vectors[block], k)
            if measured is None:
                distances[block], indices[block] = BruteForceSearch(self.bank).query(vectors[block], k)
            else:
                squared, indices[block] = _nearest_of(measured, len(distances[block]), k)
                np.sqrt(squared, out=distances[block])
        return distances, indices

    def survivors(self, vectors: Floats, k: int = 1) -> Pairs | None:
        """The pairs that are measured, among them every query's k nearest; None where they would be too many.

        Args:
            vectors: `(M, C)`, so many at once.
            k: How many neighbours are asked for, at most N.
        """
        measured = self._measured(vectors, k)
        return None if measured is None else (measured.queries, measured.rows)

    def _measured(self, vectors: Floats, k: int) -> _Measured | None:
        if k > self._reduced.largest_cell:
            return None
        asked = self._reduced.ask(vectors, k)  # step 1
        if not np.isfinite(asked.squares).all():  # not a number is near nothing
            return None
        near = self._reduced.near_home(asked)  # step 2
        home = self._pairs(vectors, np.repeat(np.arange(len(vectors)), k), near.ravel())
        known = home.squared.reshape(-1, k)
        limits = asked.limits(self._bounds(known.max(axis=1, initial=0)))
        most = len(vectors) * (len(self.bank) // _BRUTE_SHARE + 8 * k)
        hits = self._reduced.within(asked, limits, most)  # steps 3 and 4
        if hits is None:
            return None
        first, rest = self._others(vectors, asked, (near, known), hits)  # step 5
        return _Measured(
            np.concatenate([home.queries, first.queries, rest.queries]),
            np.concatenate([home.rows, first.rows, rest.rows]),
            np.concatenate([home.squared, first.squared, rest.squared]),
        )

    def _others(
        self, vectors: Floats, asked: Asked, home: tuple[NDArray[np.intp], Floats], hits: Hits
    ) -> tuple[_Measured, _Measured]:
        """Beside the rows of home: the one that looks nearest, and those that it leaves within the limits."""
        queries, rows, above = hits
        near, known = home
        best = np.full(len(near), np.inf, dtype=np.float32)
        np.minimum.at(best, queries, above)
        other = (rows[:, np.newaxis] != near[queries]).all(axis=1)
        chosen = np.flatnonzero(other & (above == best[queries]))
        first = self._pairs(vectors, queries[chosen], rows[chosen])
        added = np.full((len(near), 1), np.inf, dtype=np.float32)
        np.minimum.at(added[:, 0], first.queries, first.squared)
        bounds = self._bounds(np.sort(np.hstack([known, added]), axis=1)[:, asked.k - 1])
        other[chosen] = False
        other &= above <= (asked.limits(bounds)[1] - asked.extended[:, -1])[queries]
        left = np.flatnonzero(other)
        return first, self._pairs(vectors, queries[left], rows[left])

    def _pairs(self, vectors: Floats, queries: NDArray[np.intp], rows: NDArray[np.intp]) -> _Measured:
        return _Measured(queries, rows, squared_distances(vectors, self.bank, queries, rows))

    def _bounds(self, squared: Floats) -> NDArray[np.float64]:
        """Distances that are no smaller than those of which these are the squares, rounded."""
        bounds: NDArray[np.float64] = np.sqrt(squared, dtype=np.float64)
        bounds *= 1 + (self.bank.shape[1] + 4) * ROUNDING
        return bounds


def _nearest_of(measured: _Measured, count: int, k: int) -> tuple[Floats, NDArray[np.intp]]:
    """Of measured pairs the k nearest of each of so many queries, the lowest row first of equally near ones."""
    queries, rows, squared = measured
    if k == 1:  # without the sort, which takes longer than all that is left
        nearest = np.full(count, np.inf, dtype=np.float32)
        np.minimum.at(nearest, queries, squared)
        best = np.flatnonzero(squared == nearest[queries])
        lowest = np.full(count, np.iinfo(np.intp).max)
        np.minimum.at(lowest, queries[best], rows[best])
        return nearest[:, np.newaxis], lowest[:, np.newaxis]
    order = np.lexsort((rows, squared, queries))
    counts = np.bincount(queries, minlength=count)
    kept = order[(np.cumsum(counts) - counts)[:, np.newaxis] + np.arange(k)]
    return squared[kept], rows[kept]
