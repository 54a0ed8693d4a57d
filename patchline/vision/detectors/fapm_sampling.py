"""FAPM's patch-wise adaptive coreset sampling: cells whose vectors lie wide apart keep more of them."""

from math import ceil, tanh
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from patchline.vision.nearest.brute_force import BruteForceSearch
from patchline.vision.nearest.coreset import greedy_k_centre
from patchline.vision.pixels.arrays import Floats, Progress

Adaptive: TypeAlias = Literal["off", "absolute", "relative"]


class Sampled(NamedTuple):
    """What the cells of a layer keep.

    Attributes:
        banks: Vectors of each cell.
        doubled: For each cell, whether it was sampled again at the doubled ratio.
    """

    banks: list[Floats]
    doubled: NDArray[np.bool_]


def spread(radius: float, unit: float = 1.0) -> float:
    """Equation 1, `1 - 2 / (1 + exp(radius²))`, written as the `tanh(radius² / 2)` it equals, which cannot overflow.

    It grows with the radius, so the largest of a cell's clusters (the paper's d_max) is the one of the largest radius.

    Args:
        radius: Distance of a cluster's outermost vector from its centre.
        unit: What the radius is measured in; 1 is the paper's. It passes 0.5 at 1.048 units.
    """
    return tanh((radius / unit) ** 2 / 2)


def sample(
    cells: list[Floats],
    *,
    ratio: float,
    adaptive: Adaptive,
    threshold: float,
    seed: int,
    projection_dimensions: int | None,
    on_progress: Progress | None = None,
) -> Sampled:
    """A coreset of each cell (section 2.2), sampled again at twice the ratio where its spread exceeds a threshold.

    Args:
        cells: Vectors of each cell, `(n, C)`.
        ratio: Share of a cell's vectors that is kept.
        adaptive: "off" never samples again; "absolute" is equation 1 as printed, of distances in the features' own
            units; "relative", which is not the paper's, measures each radius in the median radius of the layer's cells.
        threshold: The paper's D_th.
        seed: Of every cell's coreset.
        projection_dimensions: Of `greedy_k_centre`; radii are measured between the vectors themselves.
        on_progress: Counts vectors chosen, as if every cell were sampled again.
    """
    counts = [ceil(ratio * len(vectors)) for vectors in cells]
    doubled_counts = [min(len(vectors), ceil(2 * ratio * len(vectors))) for vectors in cells]
    progress = _Steps(sum(counts) + (sum(doubled_counts) if adaptive != "off" else 0), on_progress)

    def choose(vectors: Floats, count: int) -> Floats:
        chosen = greedy_k_centre(
            vectors, count, seed=seed, projection_dimensions=projection_dimensions, on_progress=progress.within
        )
        progress.finish(count)
        return vectors[np.sort(chosen)]

    banks = [choose(vectors, count) for vectors, count in zip(cells, counts, strict=True)]
    doubled = np.zeros(len(cells), dtype=np.bool_)
    if adaptive != "off":
        radii = np.array([_radius(vectors, bank) for vectors, bank in zip(cells, banks, strict=True)])
        unit = 1.0 if adaptive == "absolute" else float(np.median(radii)) or 1.0
        doubled[:] = [spread(radius, unit) > threshold for radius in radii]
        for cell, (vectors, count) in enumerate(zip(cells, doubled_counts, strict=True)):
            if doubled[cell]:
                banks[cell] = choose(vectors, count)
            else:
                progress.finish(count)
    return Sampled(banks, doubled)


def _radius(vectors: Floats, centres: Floats) -> float:
    return float(BruteForceSearch(centres).query(vectors, 1)[0].max())


class _Steps:
    """One count over many coresets."""

    def __init__(self, total: int, on_progress: Progress | None) -> None:
        self._total, self._before, self._on_progress = total, 0, on_progress

    def within(self, done: int, _: int) -> None:
        if self._on_progress is not None:
            self._on_progress(self._before + done, self._total)

    def finish(self, steps: int) -> None:
        self._before += steps
        self.within(0, 0)
