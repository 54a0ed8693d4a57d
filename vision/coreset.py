"""The greedy k-centre coreset: few vectors that are near to all."""

import numpy as np
from numpy.typing import NDArray

from vision.arrays import Floats, Progress

_FRONT = 16384
"""Points among which picks are made before the others are looked at again; measured best of 1024 to 32768."""
_CENTRE_BLOCK = 512
_CHOSEN = -1.0


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
        choice.pick_from_front()
        if on_progress is not None:
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
    for start in range(0, len(vectors), _FRONT):
        rows = slice(start, start + _FRONT)
        np.matmul(vectors[rows] - centre, matrix, out=projected[rows])
    return projected


class _Choice:
    """A greedy choice under way.

    A point's distance to its nearest centre only shrinks, so one that was not brought up to date is an upper bound. The
    points with the largest bounds are the front; a pick among them, brought up to date, is the farthest of all as long
    as it is beyond the largest bound outside. Every pair of point and centre is measured once at most, most of them in
    matrix products, and the choice is the same as if all were measured at each pick.
    """

    def __init__(self, points: Floats, count: int) -> None:
        self.rows = np.empty(count, dtype=np.intp)
        self.chosen = 0
        self._points = points
        self._norms: Floats = np.einsum("nc,nc->n", points, points)
        self._bounds = np.full(len(points), np.inf, dtype=np.float32)  # squared distances; of chosen points -1
        self._seen = np.zeros(len(points), dtype=np.int32)  # how many centres each bound takes account of

    def add(self, row: int) -> None:
        self.rows[self.chosen] = row
        self.chosen += 1
        self._bounds[row] = _CHOSEN

    def pick_from_front(self) -> None:
        """Pick until the farthest point may lie outside the front, or all are chosen."""
        front, outside = self._front()
        self._bring_up_to_date(front)
        points, norms, distances = self._points[front], self._norms[front], self._bounds[front]
        while self.chosen < len(self.rows):
            best = int(distances.argmax())
            if distances[best] < outside:
                break
            self.add(int(front[best]))
            centre_distances = points @ (-2 * points[best])
            centre_distances += norms + norms[best]
            np.minimum(distances, np.maximum(centre_distances, 0, out=centre_distances), out=distances)
            distances[best] = _CHOSEN
        self._bounds[front] = distances
        self._seen[front] = self.chosen

    def _front(self) -> tuple[NDArray[np.intp], float]:
        """The rows with the largest bounds, and the largest bound among the others."""
        if len(self._points) <= _FRONT:
            return np.arange(len(self._points)), -np.inf
        order = np.argpartition(self._bounds, len(self._bounds) - _FRONT - 1)
        split = len(order) - _FRONT
        return np.sort(order[split:]), float(self._bounds[order[:split]].max())

    def _bring_up_to_date(self, front: NDArray[np.intp]) -> None:
        for seen in np.unique(self._seen[front]):
            rows = front[self._seen[front] == seen]
            rows = rows[self._bounds[rows] != _CHOSEN]
            points = self._points[rows]
            for start in range(int(seen), self.chosen, _CENTRE_BLOCK):
                centres = self.rows[start : min(start + _CENTRE_BLOCK, self.chosen)]
                keys = points @ (-2 * self._points[centres].T)
                keys += self._norms[centres]
                nearest = np.maximum(keys.min(axis=1) + self._norms[rows], 0)
                self._bounds[rows] = np.minimum(self._bounds[rows], nearest)
