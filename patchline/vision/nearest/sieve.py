"""The few keys at or below zero among many that are made block by block."""

import numpy as np
from numpy.typing import NDArray

from patchline.vision.pixels.arrays import Floats

_KEYS = 1 << 17
"""Looked through at once: 0.5 MB of them are still in a core's own cache, and one look costs more than few keys."""


class Sieve:
    """What is left of a long row of keys that are written one stretch after the other.

    Args:
        longest: The most keys in a stretch that has to be whole.
    """

    def __init__(self, longest: int) -> None:
        self.count = 0
        self._buffer = np.empty(max(_KEYS, longest), dtype=np.float32)
        self._filled = self._before = 0
        self._places: list[NDArray[np.intp]] = []
        self._keys: list[Floats] = []

    @property
    def capacity(self) -> int:
        """The most keys that `room` can be asked for."""
        return len(self._buffer)

    def room(self, rows: int, columns: int) -> Floats:
        """Where the next `(rows, columns)` keys go; until then what stands there means nothing."""
        if self._filled + rows * columns > len(self._buffer):
            self._look()
        start = self._filled
        self._filled += rows * columns
        return self._buffer[start : self._filled].reshape(rows, columns)

    def kept(self) -> tuple[NDArray[np.intp], Floats]:
        """Where in the row keys are at or below zero, ascending, and these keys."""
        self._look()
        return np.concatenate(self._places), np.concatenate(self._keys)

    def _look(self) -> None:
        keys = self._buffer[: self._filled]
        places = np.flatnonzero(keys <= 0)
        self._places.append(places + self._before)
        self._keys.append(keys[places])
        self.count += len(places)
        self._before += self._filled
        self._filled = 0
