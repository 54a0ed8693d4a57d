"""Nearest neighbours by what looks nearest in few dimensions, in a few cells: fast, and nearly always right."""

import numpy as np
from numpy.typing import NDArray

from patchline.vision.nearest.brute_force import in_order, smallest
from patchline.vision.nearest.cells import Cells
from patchline.vision.nearest.reduction import Reduction
from patchline.vision.pixels.arrays import Floats

_DIMENSIONS = 96
_PROBES = 3
_OFFERED = 3
"""Rows that look nearest in each of so many cells; these are measured in all dimensions."""


class ReducedSearch:
    """Approximate: of the nearest cells' best rows in the reduced dimensions, the one that is nearest.

    Args:
        bank: `(N, C)`.
    """

    def __init__(self, bank: Floats) -> None:
        self._bank = np.ascontiguousarray(bank, dtype=np.float32)
        self._reduction = Reduction(self._bank, _DIMENSIONS)
        self._cells = Cells(self._reduction.reduce(self._bank))

    def nearest(self, vectors: Floats) -> tuple[Floats, NDArray[np.intp]]:
        """See `patchline.vision.nearest.protocol.Search`."""
        cells = self._cells
        extended = np.ones((len(vectors), self._reduction.dimensions + 2), dtype=np.float32)
        self._reduction.estimate(vectors, extended[:, 1:])
        probes = min(_PROBES, len(cells.sizes))
        probed = np.argpartition(extended @ cells.centres, probes - 1, axis=1)[:, :probes]
        order = np.argsort(probed.ravel(), kind="stable")
        taken, starts = np.unique(probed.ravel()[order], return_index=True)
        offered = min(_OFFERED, int(cells.sizes.min()))
        candidates = np.empty((probed.size, offered), dtype=np.intp)
        for cell, places in zip(taken.tolist(), np.split(order, starts[1:]), strict=True):
            best = smallest(extended[places // probes] @ cells.blocks[cell][:-1], offered)
            candidates[places] = cells.rows[cells.starts[cell] + best]
        distances, rows = in_order(vectors, self._bank, candidates.reshape(-1, probes * offered))
        return distances[:, 0], rows[:, 0]
