"""Every query against every vector of the bank: what exact search falls back on, and is checked against."""

import numpy as np
from numpy.typing import NDArray

from patchline.vision.pixels.arrays import Floats

_QUERY_BLOCK = 1024
_BANK_BLOCK = 256
"""Rows of a block: 1024 x 256 float64 distances are 2 MB, which stay in the cache until their minimum is taken."""
_PAIR_BLOCK = 256
"""Pairs of vectors whose difference is taken at once: twice 256 x 384 float32 numbers, 786 kB, stay in the cache."""


class BruteForceSearch:
    """Nearest neighbours by blocked matrix products.

    Candidates are ranked by `|b|² / 2 - q·b` in float64; the distances of the winners are then computed anew from
    differences, so that a vector which is in the bank has distance 0 exactly and near ones keep their digits.

    Args:
        bank: `(N, C)`.
    """

    def __init__(self, bank: Floats) -> None:
        self.bank = np.ascontiguousarray(bank, dtype=np.float32)
        self._centre = self.bank.mean(axis=0, dtype=np.float64)

    def query(self, vectors: Floats, k: int) -> tuple[Floats, NDArray[np.intp]]:
        """See `patchline.vision.nearest.exact.ExactSearch.query`."""
        k = min(k, len(self.bank))
        indices = np.empty((len(vectors), k), dtype=np.intp)
        for start in range(0, len(vectors), _QUERY_BLOCK):
            rows = slice(start, start + _QUERY_BLOCK)
            indices[rows] = self._ranked(vectors[rows] - self._centre, k)
        return in_order(vectors, self.bank, indices)

    def _ranked(self, centred: NDArray[np.float64], k: int) -> NDArray[np.intp]:
        """Rows of the k best candidates of one block of queries, in no order."""
        best = np.empty((len(centred), 0))
        indices = np.empty((len(centred), 0), dtype=np.intp)
        for start in range(0, len(self.bank), _BANK_BLOCK):
            block = self.bank[start : start + _BANK_BLOCK] - self._centre
            keys = centred @ -block.T
            keys += np.einsum("nc,nc->n", block, block) / 2
            kept = smallest(keys, k)
            best = np.hstack([best, np.take_along_axis(keys, kept, axis=1)])
            indices = np.hstack([indices, kept + start])
            if best.shape[1] > k:
                kept = smallest(best, k)
                best, indices = np.take_along_axis(best, kept, axis=1), np.take_along_axis(indices, kept, axis=1)
        return indices


def smallest(keys: NDArray[np.floating], k: int) -> NDArray[np.intp]:
    """Where each row of keys has its k smallest, `(M, k)` in no order; all of them where it has fewer."""
    if k >= keys.shape[1]:
        return np.broadcast_to(np.arange(keys.shape[1]), keys.shape)
    kept: NDArray[np.intp]
    kept = keys.argmin(axis=1, keepdims=True) if k == 1 else np.argpartition(keys, k - 1, axis=1)[:, :k]
    return kept


def in_order(vectors: Floats, bank: Floats, indices: NDArray[np.intp]) -> tuple[Floats, NDArray[np.intp]]:
    """Candidates `(M, k)`, nearest first and the lowest row first among equally near ones, behind their distances."""
    count, k = indices.shape
    indices = np.sort(indices, axis=1)
    queries = np.repeat(np.arange(count), k)
    distances = np.sqrt(squared_distances(vectors, bank, queries, indices.ravel())).reshape(count, k)
    order = np.argsort(distances, axis=1, kind="stable")
    return np.take_along_axis(distances, order, axis=1), np.take_along_axis(indices, order, axis=1)


def squared_distances(
    vectors: Floats, bank: Floats, queries: NDArray[np.intp], rows: NDArray[np.intp]
) -> NDArray[np.float32]:
    """Squared distances of pairs of a query and a row of the bank, `(P,)`, from the differences of the two."""
    distances = np.empty(len(queries), dtype=np.float32)
    size = min(len(queries), _PAIR_BLOCK)
    asked, stored = (np.empty((size, bank.shape[1]), dtype=np.float32) for _ in range(2))
    for start in range(0, len(queries), _PAIR_BLOCK):
        part = slice(start, start + _PAIR_BLOCK)
        count = len(distances[part])
        differences = vectors.take(queries[part], axis=0, out=asked[:count], mode="clip")  # which needs no second copy
        differences -= bank.take(rows[part], axis=0, out=stored[:count], mode="clip")
        np.einsum("pc,pc->p", differences, differences, out=distances[part])
    return distances
