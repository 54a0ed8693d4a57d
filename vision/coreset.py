"""The greedy k-centre coreset: few vectors that are near to all."""

import numpy as np
from numpy.typing import NDArray

from vision.arrays import Floats, Progress

_SLACK = 1.0 + 1e-4
"""Pruning is by float32 distances, so it prunes only what is beyond the bound by more than their rounding."""


def greedy_k_centre(
    vectors: Floats,
    count: int,
    *,
    seed: int,
    projection_dimensions: int | None = 64,
    on_progress: Progress | None = None,
) -> NDArray[np.intp]:
    """Choose vectors one after the other, each the farthest from all chosen before (PatchCore, section 3.2, alg. 1).

    The greedy answer to minimax facility location; its radius is at most twice the best possible. Distances are kept
    lazily: a vector's nearest centre `a` can only lose to a new centre `c` where `|a - c| < 2 |x - a|` (triangle
    inequality), so most vectors are never compared with most centres, and the choice is the same as if they were.

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
    points = _projected(vectors, projection_dimensions, rng)
    first = int(rng.integers(len(points)))
    return _choose(points, first, count, on_progress)


def _projected(vectors: Floats, dimensions: int | None, rng: np.random.Generator) -> Floats:
    if dimensions is None or dimensions >= vectors.shape[1]:
        return np.ascontiguousarray(vectors, dtype=np.float32)
    matrix = rng.standard_normal((vectors.shape[1], dimensions)) / np.sqrt(dimensions)
    projected: Floats = vectors @ matrix.astype(np.float32)
    return projected


def _choose(points: Floats, first: int, count: int, on_progress: Progress | None) -> NDArray[np.intp]:
    chosen = np.empty(count, dtype=np.intp)
    centres = np.empty((count, points.shape[1]), dtype=np.float32)
    chosen[0], centres[0] = first, points[first]
    squared = _squared(points - points[first])
    nearest = np.zeros(len(points), dtype=np.int32)
    for step in range(1, count):
        pick = int(np.argmax(squared))
        chosen[step], centres[step] = pick, points[pick]
        bound = _squared(centres[:step] - points[pick]) / (4 * _SLACK)
        (rows,) = np.nonzero(bound[nearest] < squared)
        closer = _squared(points[rows] - points[pick])
        improved = closer < squared[rows]
        rows = rows[improved]
        squared[rows] = closer[improved]
        nearest[rows] = step
        squared[pick] = -1.0
        if on_progress is not None and (step % 256 == 0 or step == count - 1):
            on_progress(step + 1, count)
    return chosen


def _squared(differences: Floats) -> Floats:
    lengths: Floats = np.einsum("nc,nc->n", differences, differences)
    return lengths
