"""Exact nearest neighbours by blocked matrix products."""

import numpy as np
from numpy.typing import NDArray

from vision.arrays import Floats

_QUERY_BLOCK = 1024
_BANK_BLOCK = 512
"""Rows of a block: 1024 x 512 distances are 2 MB, which stay in the cache until their minimum is taken."""


class ExactSearch:
    """Exact Euclidean nearest neighbours in a bank.

    Candidates are ranked by `|b|² / 2 - q·b`, one matrix product; the distances of the winners are then computed anew
    from differences, so that a vector which is in the bank has distance 0 exactly and near ones keep their digits.

    Args:
        bank: `(N, C)`.
    """

    def __init__(self, bank: Floats) -> None:
        self.bank = np.ascontiguousarray(bank, dtype=np.float32)
        self._centre = self.bank.mean(axis=0, dtype=np.float64).astype(np.float32)
        centred = self.bank - self._centre
        half_norms = np.einsum("nc,nc->n", centred, centred, dtype=np.float64) / 2
        self._keys = np.vstack([-centred.T, half_norms.astype(np.float32)])

    def query(self, vectors: Floats, k: int = 1) -> tuple[Floats, NDArray[np.intp]]:
        """The k nearest vectors of the bank, nearest first.

        Args:
            vectors: `(M, C)`.
            k: How many; all of the bank where it has fewer.

        Returns:
            Distances, Euclidean and not squared, and rows of the bank, both `(M, k)`.
        """
        k = min(k, len(self.bank))
        indices = np.empty((len(vectors), k), dtype=np.intp)
        for start in range(0, len(vectors), _QUERY_BLOCK):
            rows = slice(start, start + _QUERY_BLOCK)
            indices[rows] = self._ranked(self._extended(vectors[rows]), k)
        distances = _distances(vectors, self.bank, indices)
        order = np.argsort(distances, axis=1, kind="stable")
        return np.take_along_axis(distances, order, axis=1), np.take_along_axis(indices, order, axis=1)

    def _extended(self, vectors: Floats) -> Floats:
        """Centred queries with a 1 behind each, which brings `|b|² / 2` into the same matrix product."""
        extended = np.ones((len(vectors), len(self._keys)), dtype=np.float32)
        np.subtract(vectors, self._centre, out=extended[:, :-1])
        return extended

    def _ranked(self, extended: Floats, k: int) -> NDArray[np.intp]:
        """Rows of the k best candidates of one block of queries, in no order."""
        best = np.empty((len(extended), 0), dtype=np.float32)
        indices = np.empty((len(extended), 0), dtype=np.intp)
        for start in range(0, len(self.bank), _BANK_BLOCK):
            keys = extended @ self._keys[:, start : start + _BANK_BLOCK]
            kept = _smallest(keys, k)
            best = np.hstack([best, np.take_along_axis(keys, kept, axis=1)])
            indices = np.hstack([indices, kept + start])
            if best.shape[1] > k:
                kept = _smallest(best, k)
                best, indices = np.take_along_axis(best, kept, axis=1), np.take_along_axis(indices, kept, axis=1)
        return indices


def _smallest(keys: Floats, k: int) -> NDArray[np.intp]:
    if k >= keys.shape[1]:
        return np.broadcast_to(np.arange(keys.shape[1]), keys.shape)
    kept: NDArray[np.intp]
    kept = np.argmin(keys, axis=1, keepdims=True) if k == 1 else np.argpartition(keys, k - 1, axis=1)[:, :k]
    return kept


def _distances(vectors: Floats, bank: Floats, indices: NDArray[np.intp]) -> Floats:
    distances = np.empty(indices.shape, dtype=np.float32)
    for column in range(indices.shape[1]):
        differences = vectors - bank[indices[:, column]]
        distances[:, column] = np.sqrt(np.einsum("mc,mc->m", differences, differences))
    return distances
