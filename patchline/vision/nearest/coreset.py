"""The greedy k-centre coreset: few vectors that are near to all."""

from itertools import pairwise
from math import isqrt

import numpy as np
from numpy.typing import NDArray

from patchline.vision.nearest.reduction import divide
from patchline.vision.pixels.arrays import Floats, Progress

_ALONE = 8192
"""Points up to which one cell is faster than many."""
_BLOCK = 16384
_TOLD_EVERY = 64
_CHOSEN = -1.0
_DOUBT = 2.0**-15
"""What a squared distance by float32 products may be off, as a share of the square of twice the longest vector."""


def greedy_k_centre(
    vectors: Floats,
    count: int,
    *,
    seed: int,
    projection_dimensions: int | None = 64,
    on_progress: Progress | None = None,
) -> NDArray[np.intp]:
    """Choose vectors one after the other, each the farthest from all chosen before (PatchCore, section 3.2, alg. 1).

    The greedy answer to minimax facility location; its radius is at most twice the best possible. Distances are float32
    from matrix products, so those that differ by under a thousandth of the vectors' spread may count as equal.

    Args:
        vectors: `(N, C)`.
        count: How many to choose, 1 to N.
        seed: Of the projection and of the first choice, which is random.
        projection_dimensions: Measure distances after a Gaussian random projection to so many dimensions
            (Johnson-Lindenstrauss), where that is fewer than C; None measures the vectors themselves.
        on_progress: Called now and then with how many are chosen.

    Returns:
        `(count,)` rows in the order of their choice.
    """
    if not 1 <= count <= len(vectors):
        raise ValueError(f"cannot choose {count} of {len(vectors)} vectors")
    rng = np.random.default_rng(seed)
    choice = _Choice(_projected(vectors, projection_dimensions, rng), count)
    choice.add(int(rng.integers(len(vectors))))
    while choice.chosen < count:
        choice.pick()
        if on_progress is not None and (choice.chosen % _TOLD_EVERY == 0 or choice.chosen == count):
            on_progress(choice.chosen, count)
    return choice.rows


def _projected(vectors: Floats, dimensions: int | None, rng: np.random.Generator) -> Floats:
    """Centred vectors, for the sake of float32's digits, in at most so many dimensions; by blocks, to save memory."""
    centre = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    if dimensions is None or dimensions >= vectors.shape[1]:
        centred: Floats = vectors - centre
        return centred
    matrix = (rng.standard_normal((vectors.shape[1], dimensions)) / np.sqrt(dimensions)).astype(np.float32)
    projected = np.empty((len(vectors), dimensions), dtype=np.float32)
    for start in range(0, len(vectors), _BLOCK):
        rows = slice(start, start + _BLOCK)
        np.matmul(vectors[rows] - centre, matrix, out=projected[rows])
    return projected


class _Choice:
    """A greedy choice under way.

    Points are kept cell by cell. A point's distance to its nearest centre only shrinks, so one that was not brought up
    to date is an upper bound, and so is a cell's largest. The next pick is in the cell whose bound is the largest once
    that is up to date. A cell is brought up to date by the centres chosen since, but for those farther from its middle
    than its radius and its largest bound together: they are nearer to none of its points (triangle inequality). So the
    choice is the same as if every point were measured at each pick, and few are.
    """

    def __init__(self, points: Floats, count: int) -> None:
        self.chosen = 0
        assignment, self._middles = divide(points, 1 if len(points) <= _ALONE else isqrt(len(points)))
        self._order = np.argsort(assignment, kind="stable")
        self._cell_of = assignment[self._order]
        self._starts = np.searchsorted(self._cell_of, np.arange(len(self._middles) + 1))
        self._points = points[self._order]
        self._norms: Floats = np.einsum("nc,nc->n", self._points, self._points)
        self._doubt = _DOUBT * 4 * float(self._norms.max())
        self._middle_keys = np.vstack([-2 * self._middles.T, np.einsum("kc,kc->k", self._middles, self._middles)])
        self._radii = self._farthest()
        self._bounds = np.full(len(points), np.inf, dtype=np.float32)  # squared distances; of chosen points -1
        self._largest = np.full(len(self._middles), np.inf, dtype=np.float32)
        self._seen = np.zeros(len(self._middles), dtype=np.intp)  # how many centres each cell's bounds take account of
        self._places = np.empty(count, dtype=np.intp)
        self._to_middles = np.empty((count, len(self._middles)), dtype=np.float32)

    @property
    def rows(self) -> NDArray[np.intp]:
        """What was chosen, in the order of choice."""
        return self._order[self._places[: self.chosen]]

    def add(self, row: int) -> None:
        """Choose a row of the points as they were given."""
        self._choose(int(np.flatnonzero(self._order == row)[0]))

    def pick(self) -> None:
        """Choose the farthest point."""
        while True:
            cell = int(self._largest.argmax())
            if self._seen[cell] == self.chosen:
                break
            self._bring_up_to_date(cell)
        start, end = self._starts[cell], self._starts[cell + 1]
        self._choose(int(start + self._bounds[start:end].argmax()))

    def _farthest(self) -> NDArray[np.floating]:
        """How far each cell's points are from its middle at most; cell by cell, to save memory."""
        farthest = np.empty(len(self._middles), dtype=np.float32)
        for cell, (start, end) in enumerate(pairwise(self._starts.tolist())):
            away = self._middles[cell] - self._points[start:end]
            farthest[cell] = np.einsum("nc,nc->n", away, away).max()
        return np.sqrt(farthest)

    def _choose(self, place: int) -> None:
        point = self._points[place]
        self._places[self.chosen] = place
        self._to_middles[self.chosen] = point @ self._middle_keys[:-1]
        self._to_middles[self.chosen] += self._middle_keys[-1] + self._norms[place]
        self.chosen += 1
        self._bounds[place] = _CHOSEN
        self._bring_up_to_date(int(self._cell_of[place]))

    def _bring_up_to_date(self, cell: int) -> None:
        start, end = self._starts[cell], self._starts[cell + 1]
        bounds = self._bounds[start:end]
        reach = self._radii[cell] + np.sqrt(max(float(self._largest[cell]), 0.0))
        since = self._seen[cell]
        near = np.flatnonzero(self._to_middles[since : self.chosen, cell] <= reach * reach + self._doubt)
        if len(near):
            centres = self._places[since + near]
            keys = self._points[start:end] @ (-2 * self._points[centres].T)
            keys += self._norms[centres]
            nearest = keys.min(axis=1)
            nearest += self._norms[start:end]
            np.maximum(nearest, 0, out=nearest)
            np.minimum(bounds, nearest, out=bounds)
        self._largest[cell] = bounds.max()
        self._seen[cell] = self.chosen
