"""PatchCore as its authors run it: every distance is measured, by faiss' flat index."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from patchline.vision.detectors.patchcore import PatchCore, PatchCoreParameters
from patchline.vision.pixels.arrays import Floats
from patchline.wire.errors import missing_extra


class FlatSearch:
    """The nearest vectors by faiss' `IndexFlatL2`: one float32 matrix product with the whole bank.

    Args:
        bank: `(N, C)`.

    Raises:
        MisconfiguredError: faiss is not installed.
    """

    def __init__(self, bank: Floats) -> None:
        try:
            import faiss  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise missing_extra("faiss", "analytics") from error
        self._index: Any = faiss.IndexFlatL2(bank.shape[1])
        self._index.add(bank)

    def nearest(self, vectors: Floats) -> tuple[Floats, NDArray[np.intp]]:
        """As `ExactSearch.nearest`, but the distances come from the matrix product."""
        squared, rows = self._index.search(np.ascontiguousarray(vectors), 1)
        distances: Floats = np.sqrt(np.maximum(squared[:, 0], 0))
        return distances, rows[:, 0].astype(np.intp)


class BruteForcePatchCore(PatchCore):
    """PatchCore with nothing ruled out."""

    name: ClassVar[str] = "patchcore"

    def __init__(self, bank: Floats, parameters: PatchCoreParameters) -> None:
        super().__init__(bank, parameters)
        self._flat = FlatSearch(self._search.bank)

    def _nearest(self, vectors: Floats) -> tuple[Floats, NDArray[np.intp]]:
        return self._flat.nearest(vectors)
