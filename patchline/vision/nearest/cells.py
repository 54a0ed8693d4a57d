"""A bank divided into cells of near vectors, so that whole cells can be ruled out by the triangle inequality."""

from itertools import pairwise
from math import isqrt

import numpy as np
from numpy.typing import NDArray

from patchline.vision.pixels.arrays import Floats

_FEWEST_ROWS = 64
"""Rows that a cell has on average at least; smaller ones cost more calls than they spare products."""
_ROUNDS = 8
_SAMPLED_ROWS = 128
"""Rows for each cell by which its centre is found."""
_LEADING = 32
"""Dimensions in which cells are made; more change neither them nor what they rule out."""
_BLOCK = 8192


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
    for _ in range(_ROUNDS if count > 1 else 0):
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
