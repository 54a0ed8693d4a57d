"""Fewer dimensions in which no two vectors are farther apart than they are: what a search may rule out with."""

import numpy as np
from numpy.typing import NDArray

from vision.arrays import Floats

_SAMPLE = 4096
"""Vectors of which the principal axes are taken: any orthonormal axes are right, and better ones change little."""
_ROUNDS = 3
_BLOCK = 8192


class Reduction:
    """Vectors' coordinates along the bank's leading principal axes, and the length of what is left as one more.

    Leaving the rest out shortens a distance; by the triangle inequality the lengths of two rests differ by no more
    than the rests do. So `|reduce(a) - reduce(b)| <= |a - b|`: a row of the bank whose distance here is beyond that of
    some other row is not the nearest. Everything is computed in float64, so that rounding is no part of the argument.

    Args:
        bank: `(N, C)`.
        dimensions: How many axes, at most C.
    """

    def __init__(self, bank: Floats, dimensions: int) -> None:
        self.dimensions = min(dimensions, bank.shape[1])
        self._centre = bank.mean(axis=0, dtype=np.float64)
        sample = bank[:: -(-len(bank) // _SAMPLE)] - self._centre.astype(np.float32)
        self._axes = _principal_axes(sample, self.dimensions)

    def reduce(self, vectors: Floats) -> NDArray[np.float64]:
        """`(M, C)` to `(M, dimensions + 1)`."""
        reduced = np.empty((len(vectors), self.dimensions + 1))
        for start in range(0, len(vectors), _BLOCK):  # a bank in float64 is twice as large
            block = slice(start, start + _BLOCK)
            centred = vectors[block] - self._centre
            leading = np.matmul(centred, self._axes, out=reduced[block, :-1])
            rest = np.einsum("mc,mc->m", centred, centred) - np.einsum("mc,mc->m", leading, leading)
            np.sqrt(np.maximum(rest, 0), out=reduced[block, -1])
        return reduced


def _principal_axes(sample: Floats, count: int) -> NDArray[np.float64]:
    """Orthonormal columns, the axis of the largest variance first, by subspace iteration: `(C, count)`."""
    axes = np.random.default_rng(0).standard_normal((sample.shape[1], count))
    for _ in range(_ROUNDS):
        axes, _ = np.linalg.qr(axes)
        axes = (sample.T @ (sample @ axes.astype(np.float32))).astype(np.float64)
    axes, _ = np.linalg.qr(axes)
    along = sample @ axes.astype(np.float32)
    _, turn = np.linalg.eigh((along.T @ along).astype(np.float64))
    axes, _ = np.linalg.qr(axes @ turn[:, ::-1])
    return np.ascontiguousarray(axes)
