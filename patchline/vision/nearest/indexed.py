"""Nearest neighbours by faiss' indices; approximate, and re-ranked by distances from differences.

Their indices are never kept in files: they are built again from the bank, the same way every time, on one thread.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from patchline.vision.nearest.brute_force import in_order
from patchline.vision.pixels.arrays import Floats
from patchline.wire.errors import missing_extra

_CELL_ROWS = 16
"""Rows for each cell of an inverted file that there are at least."""
_PROBES = 4
_LINKS = 32
_BUILD_EFFORT = 64
_SEARCH_EFFORT = 32
_CODE_BITS = 4
_CODE_DIMENSIONS = 8
"""Dimensions that one code of a product quantiser stands for, at most where they divide the vector's evenly."""
_CANDIDATES = 32
"""Rows that look nearest by their codes, and are measured."""


class _IndexedSearch(ABC):
    """Candidates from a faiss index, re-ranked.

    Args:
        bank: `(N, C)`.

    Raises:
        MisconfiguredError: faiss is not installed.
    """

    _candidates = 1

    def __init__(self, bank: Floats) -> None:
        self._bank = np.ascontiguousarray(bank, dtype=np.float32)
        faiss = _faiss()
        with _one_thread(faiss):
            self._index = self._built(faiss)

    @abstractmethod
    def _built(self, faiss: Any) -> Any:
        """The index, with the bank in it."""

    def nearest(self, vectors: Floats) -> tuple[Floats, NDArray[np.intp]]:
        """See `patchline.vision.nearest.protocol.Search`."""
        asked = np.ascontiguousarray(vectors, dtype=np.float32)
        _, labels = self._index.search(asked, min(self._candidates, len(self._bank)))
        first = np.maximum(labels[:, :1], 0)  # -1 stands for "found no more"
        distances, rows = in_order(asked, self._bank, np.where(labels < 0, first, labels).astype(np.intp))
        return distances[:, 0], rows[:, 0]


class InvertedFileSearch(_IndexedSearch):
    """Approximate: all rows of the few nearest k-means cells (faiss' IVF)."""

    def _built(self, faiss: Any) -> Any:
        count, channels = self._bank.shape
        cells = max(1, min(isqrt(count), count // _CELL_ROWS))
        index = faiss.IndexIVFFlat(faiss.IndexFlatL2(channels), channels, cells)
        index.cp.min_points_per_centroid = 1  # fewer are no news worth a line on stderr
        index.train(self._bank)
        index.add(self._bank)
        index.nprobe = min(_PROBES, cells)
        return index


class GraphSearch(_IndexedSearch):
    """Approximate: from neighbour to nearer neighbour in a graph (faiss' HNSW); the slowest to build by far."""

    def _built(self, faiss: Any) -> Any:
        index = faiss.IndexHNSWFlat(self._bank.shape[1], _LINKS)
        index.hnsw.efConstruction, index.hnsw.efSearch = _BUILD_EFFORT, _SEARCH_EFFORT
        index.add(self._bank)
        return index


class ProductQuantisedSearch(_IndexedSearch):
    """Approximate: what looks nearest by 4-bit codes of a few dimensions each (faiss' fast scan), re-ranked."""

    _candidates = _CANDIDATES

    def _built(self, faiss: Any) -> Any:
        count, channels = self._bank.shape
        if count < 2**_CODE_BITS:
            index = faiss.IndexFlatL2(channels)
        else:
            width = next(width for width in range(_CODE_DIMENSIONS, 0, -1) if channels % width == 0)
            index = faiss.IndexPQFastScan(channels, channels // width, _CODE_BITS)
            index.pq.cp.min_points_per_centroid = 1
            index.train(self._bank)
        index.add(self._bank)
        return index


def _faiss() -> Any:
    try:
        import faiss  # noqa: PLC0415 - an extra of the service
    except ImportError as error:
        raise missing_extra("faiss", "analytics") from error
    return faiss


@contextmanager
def _one_thread(faiss: Any) -> Iterator[None]:
    """With more, the graph depends on who comes first."""
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)
