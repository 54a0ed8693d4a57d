"""What a search rules rows out with: fewer dimensions in which no distance grows, and cells of near vectors."""

import numpy as np
from numpy.typing import NDArray

from patchline.vision.pixels.arrays import Floats

_SAMPLE = 4096
"""Vectors of which the principal axes are taken: any orthonormal axes are right, and better ones change little."""
_ROUNDS = 3
_BLOCK = 8192
_CELL_ROUNDS = 8
_SAMPLED_ROWS = 128
"""Rows for each cell by which its centre is found."""
_TERMS = 128
"""Of a float32 product: its worst case grows with them, so that three sums of 128 are surer than one of 384."""
ROUNDING = 2.0**-24
"""The most that one float32 operation changes a result, relatively."""


class Reduction:
    """Vectors' coordinates along the bank's leading principal axes, and the length of what is left as one more.

    Leaving the rest out shortens a distance; by the triangle inequality the lengths of two rests differ by no more
    than the rests do. So `|reduce(a) - reduce(b)| <= |a - b|`: a row of the bank whose distance here is beyond that of
    some other row is not the nearest.

    Args:
        bank: `(N, C)`.
        dimensions: How many axes, at most C.
    """

    def __init__(self, bank: Floats, dimensions: int) -> None:
        self.dimensions = min(dimensions, bank.shape[1])
        self._centre: Floats = bank.mean(axis=0, dtype=np.float64).astype(np.float32)
        sample = bank[:: -(-len(bank) // _SAMPLE)] - self._centre
        self._axes = _principal_axes(sample, self.dimensions)
        self._rounded_axes: Floats = self._axes.astype(np.float32)

    def reduce(self, vectors: Floats) -> NDArray[np.float64]:
        """`(M, C)` to `(M, dimensions + 1)`, in float64, so that rounding is no part of the argument."""
        reduced = np.empty((len(vectors), self.dimensions + 1))
        for start in range(0, len(vectors), _BLOCK):  # a bank in float64 is twice as large
            block = slice(start, start + _BLOCK)
            centred = vectors[block] - self._centre.astype(np.float64)
            leading = np.matmul(centred, self._axes, out=reduced[block, :-1])
            rest = np.einsum("mc,mc->m", centred, centred) - np.einsum("mc,mc->m", leading, leading)
            np.sqrt(np.maximum(rest, 0), out=reduced[block, -1])
        return reduced

    def estimate(self, vectors: Floats, out: Floats) -> NDArray[np.float64]:
        """The same in float32, in a third of the time, and how far from `reduce` it may be.

        Args:
            vectors: `(M, C)`.
            out: `(M, dimensions + 1)`, where the result goes.

        Returns:
            The largest distance that each vector's estimate can have from its reduction, `(M,)`.
        """
        channels = vectors.shape[1]
        centred = vectors - self._centre
        leading, rest = out[:, :-1], out[:, -1]
        np.matmul(centred[:, :_TERMS], self._rounded_axes[:_TERMS], out=leading)
        for start in range(_TERMS, channels, _TERMS):
            terms = slice(start, start + _TERMS)
            leading += centred[:, terms] @ self._rounded_axes[terms]
        squares = np.einsum("mc,mc->m", centred, centred)
        lengths: NDArray[np.float64] = np.sqrt(squares, dtype=np.float64)
        # A product's terms, the sums of products, and the roundings of centring and of an axis; in every dimension.
        error: NDArray[np.float64] = (_TERMS + channels // _TERMS + 5) * ROUNDING * np.sqrt(self.dimensions) * lengths
        if self.dimensions == channels:
            rest[:] = 0
            return error
        np.sqrt(np.maximum(squares - np.einsum("mc,mc->m", leading, leading), 0), out=rest)
        off = 2 * error * lengths + error * error + (channels + self.dimensions + 8) * ROUNDING * squares
        error += _root_error(rest.astype(np.float64), off)
        return error


def _root_error(roots: NDArray[np.float64], off: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far off the roots of numbers can be that are so much off, and none of which is below 0."""
    lowest = np.sqrt(np.maximum(roots * roots - off, 0))
    error: NDArray[np.float64] = off / np.maximum(roots + lowest, np.sqrt(off) + np.finfo(np.float64).tiny)
    return error


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


def divide(points: Floats, count: int) -> tuple[NDArray[np.intp], Floats]:
    """Points in cells by Lloyd's algorithm on a sample, from points evenly spaced in their order.

    Args:
        points: `(N, D)`.
        count: Of cells, at most; none is empty, so that there may be fewer.

    Returns:
        The cell of each point, `(N,)`, and the means of the sample in each, or where none is the nearest, `(cells, D)`.
    """
    centres = points[np.linspace(0, len(points) - 1, count).astype(np.intp)]
    sample = points[:: -(-len(points) // (_SAMPLED_ROWS * count))]
    for _ in range(_CELL_ROUNDS if count > 1 else 0):
        assignment = _nearest(sample, centres)
        order = np.argsort(assignment, kind="stable")
        starts = np.unique(assignment[order], return_index=True)[1]
        sizes = np.diff(np.append(starts, len(sample)))
        centres = (np.add.reduceat(sample[order], starts) / sizes[:, np.newaxis]).astype(np.float32)
    taken, compact = np.unique(_nearest(points, centres), return_inverse=True)
    return compact.reshape(-1), centres[taken]


def _nearest(points: Floats, centres: Floats) -> NDArray[np.intp]:
    keys = -2 * centres.T
    squares = np.einsum("kd,kd->k", centres, centres)
    nearest = np.empty(len(points), dtype=np.intp)
    for start in range(0, len(points), _BLOCK):
        rows = slice(start, start + _BLOCK)
        nearest[rows] = (points[rows] @ keys + squares).argmin(axis=1)
    return nearest
