"""A bank divided into cells of near vectors, so that whole cells can be ruled out by the triangle inequality."""

from itertools import pairwise
from math import isqrt

import numpy as np
from numpy.typing import NDArray

from vision.arrays import Floats

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

    A query `[q, 1]` times `centres` or a block is `|c|² - 2 q·c`: the squared distance less `|q|²`, from one product.

    Args:
        reduced: `(N, D)` float64, the leading dimensions first.

    Attributes:
        rows: `(N,)`, rows of the bank, cell by cell.
        starts: `(cells + 1,)`, where in `rows` each cell starts, and the end.
        centres: `(D + 1, cells)` float32.
        radii: `(cells,)` float64, no vector of a cell is farther from its centre.
        blocks: For each cell `(D + 1, its rows)` float32.
    """

    def __init__(self, reduced: NDArray[np.float64]) -> None:
        count = max(1, min(isqrt(len(reduced)), len(reduced) // _FEWEST_ROWS))
        assignment, _ = divide(reduced[:, :_LEADING].astype(np.float32), count)
        self.rows = np.argsort(assignment, kind="stable")
        self.starts = np.concatenate([[0], np.cumsum(np.bincount(assignment))])
        centres, radii = [], []
        self.blocks: list[Floats] = []
        for start, end in pairwise(self.starts.tolist()):  # one by one: a bank in float64 is large enough once
            vectors = reduced[self.rows[start:end]]
            centre = vectors.mean(axis=0)
            away = vectors - centre
            centres.append(centre)
            radii.append(np.einsum("nd,nd->n", away, away).max())
            self.blocks.append(_keys(vectors))
        self.radii: NDArray[np.float64] = np.sqrt(np.array(radii))
        self.centres = _keys(np.stack(centres))

    @property
    def sizes(self) -> NDArray[np.intp]:
        """How many rows each cell has."""
        return np.diff(self.starts)


def _keys(vectors: NDArray[np.float64]) -> Floats:
    keys: Floats = np.vstack([-2 * vectors.T, np.einsum("nd,nd->n", vectors, vectors)]).astype(np.float32, order="C")
    return keys


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
