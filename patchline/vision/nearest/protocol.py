"""What every search for the nearest neighbour promises, exact or not."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from patchline.vision.pixels.arrays import Floats


class Search(Protocol):
    """The nearest vectors in a bank, by Euclidean distance.

    A search is made from the bank alone and nothing else of it is kept, so an artifact needs the bank only.
    """

    def __init__(self, bank: Floats) -> None:
        """A search in a bank, `(N, C)`."""

    def nearest(self, vectors: Floats) -> tuple[Floats, NDArray[np.intp]]:
        """For each vector the nearest of the bank that it finds, and its distance, which is exact whatever it finds.

        Args:
            vectors: `(M, C)`.

        Returns:
            Distances, Euclidean and not squared, and rows of the bank, both `(M,)`.
        """
        ...
