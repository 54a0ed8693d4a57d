"""Exact nearest neighbours that measure few distances, because most rows of a bank can be ruled out.

A query's home is the cell whose centre is nearest. The k-th nearest of the rows that look nearest there bounds how far
the k-th neighbour may be. Cells that are farther than that are ruled out whole, by the distance to their centre less
their radius (triangle inequality); of the rows of the others, those farther in the reduced dimensions (see
`vision.neighbours.reduction`). What is left is measured in all dimensions. Of 784 patches against 16,385 rows of a
ResNet-18's, one pair in twelve reaches the second step and one in two thousand the last.
"""

import numpy as np
from numpy.typing import NDArray

from vision.arrays import Floats
from vision.neighbours.brute_force import BruteForceSearch, smallest, squared_distances
from vision.neighbours.cells import Cells
from vision.neighbours.reduction import Reduction

_DIMENSIONS = 128
"""Of the second step: measured best of 64 to 192, within a tenth from 96 to 160."""
_QUERY_BLOCK = 4096
_BRUTE_SHARE = 16
"""Where more than one row in so many is left to be measured, measuring all by matrix products is faster."""
_ROUNDING = 2.0**-24
"""The most that one float32 operation changes a result, relatively."""

Pairs = tuple[NDArray[np.intp], NDArray[np.intp]]
"""Queries and rows of the bank, `(P,)` each."""


class ExactSearch:
    """Exact Euclidean nearest neighbours in a bank.

    Distances are float32 of differences: a vector that is in the bank has distance 0, near ones keep their digits, and
    no distance is over the true smallest by more than its own rounding. For what float32 may have rounded away, rows
    are given the benefit of a doubt that is the worst that can happen, not the likely. Banks that cannot be pruned
    (most rows equal, or all equally far) are searched by brute force in float64.

    Args:
        bank: `(N, C)`.
    """

    def __init__(self, bank: Floats) -> None:
        self.bank = np.ascontiguousarray(bank, dtype=np.float32)
        self._reduction = Reduction(self.bank, _DIMENSIONS)
        reduced = self._reduction.reduce(self.bank)
        self._cells = Cells(reduced)
        self._longest = float(np.sqrt(np.einsum("nd,nd->n", reduced, reduced).max()))

    def nearest(self, vectors: Floats) -> tuple[Floats, NDArray[np.intp]]:
        """See `vision.neighbours.protocol.Search`."""
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
            distances[block], indices[block] = self._nearest(vectors[block], k)
        return distances, indices

    def survivors(self, vectors: Floats, k: int = 1) -> Pairs | None:
        """The pairs that cannot be ruled out, among them every query's k nearest; None where they are too many.

        Args:
            vectors: `(M, C)`, so many at once.
            k: How many neighbours are asked for, at most N.
        """
        if k > self._cells.sizes.max():
            return None
        reduced = self._reduction.reduce(vectors)
        squares = np.einsum("md,md->m", reduced, reduced)
        extended = np.ones((len(vectors), reduced.shape[1] + 1), dtype=np.float32)
        extended[:, :-1] = reduced
        to_centres = extended @ self._cells.centres + squares[:, np.newaxis].astype(np.float32)
        bounds = self._bounds(vectors, extended, to_centres, k)
        doubt = self._doubt(squares)
        reach = bounds[:, np.newaxis] + self._cells.radii
        open_cells = to_centres <= reach * reach + doubt[:, np.newaxis]
        limits = (bounds * bounds + doubt - squares).astype(np.float32)
        return self._within(extended, open_cells, limits, len(vectors) * (len(self.bank) // _BRUTE_SHARE + 8 * k))

    def _nearest(self, vectors: Floats, k: int) -> tuple[Floats, NDArray[np.intp]]:
        pairs = self.survivors(vectors, k)
        if pairs is None:
            return BruteForceSearch(self.bank).query(vectors, k)
        queries, rows = pairs
        squared = squared_distances(vectors, self.bank, queries, rows)
        order = np.lexsort((rows, squared, queries))
        counts = np.bincount(queries, minlength=len(vectors))
        if (counts < k).any():  # not a number is near nothing
            return BruteForceSearch(self.bank).query(vectors, k)
        firsts = np.cumsum(counts) - counts
        kept = order[firsts[:, np.newaxis] + np.arange(k)]
        return np.sqrt(squared[kept]), rows[kept]

    def _bounds(self, vectors: Floats, extended: Floats, to_centres: Floats, k: int) -> NDArray[np.float64]:
        """No query's k-th neighbour is farther than this: the distance to the k-th of k rows of its home cell."""
        cells = self._cells
        homes = np.where(cells.sizes >= k, to_centres, np.inf).argmin(axis=1)
        order = np.argsort(homes, kind="stable")
        taken, starts = np.unique(homes[order], return_index=True)
        ends = np.append(starts[1:], len(vectors))
        sorted_queries = extended[order]
        rows = np.empty((len(vectors), k), dtype=np.intp)
        for cell, start, end in zip(taken.tolist(), starts.tolist(), ends.tolist(), strict=True):
            kept = smallest(sorted_queries[start:end] @ cells.blocks[cell], k)
            rows[order[start:end]] = cells.rows[cells.starts[cell] + kept]
        queries = np.repeat(np.arange(len(vectors)), k)
        squared = squared_distances(vectors, self.bank, queries, rows.ravel()).reshape(-1, k)
        bounds: NDArray[np.float64] = np.sqrt(squared.max(axis=1).astype(np.float64))
        bounds *= 1 + (self.bank.shape[1] + 4) * _ROUNDING
        return bounds

    def _doubt(self, squares: NDArray[np.float64]) -> NDArray[np.float64]:
        """How much too large a squared distance to a centre or row may come out of a matrix product, `(M,)`.

        A product of D terms is off by D roundings of `|q| |b|` at most, its inputs and the sums with squares by a few
        more; the reduction's last dimension, a root of a difference, by under `2**-20` of the vector's length.
        """
        lengths = np.sqrt(squares) + self._longest
        doubt: NDArray[np.float64] = ((self._reduction.dimensions + 16) * _ROUNDING + 2.0**-19) * lengths * lengths
        return doubt

    def _within(self, extended: Floats, open_cells: NDArray[np.bool_], limits: Floats, most: int) -> Pairs | None:
        cells = self._cells
        opened, queries = np.nonzero(open_cells.T)
        taken, starts = np.unique(opened, return_index=True)
        ends = np.append(starts[1:], len(opened))
        found: list[Pairs] = []
        count = 0
        for cell, start, end in zip(taken.tolist(), starts.tolist(), ends.tolist(), strict=True):
            asking = queries[start:end]
            keys = extended[asking] @ cells.blocks[cell]
            hits = np.flatnonzero(keys <= limits[asking, np.newaxis])
            count += len(hits)
            if count > most:
                return None
            query, column = np.divmod(hits, keys.shape[1])
            found.append((asking[query], cells.rows[cells.starts[cell] + column]))
        return np.concatenate([pair[0] for pair in found]), np.concatenate([pair[1] for pair in found])
