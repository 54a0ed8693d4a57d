"""Product quantisation: vectors cut into sub-spaces, in each the nearest of a few learnt values.

Jegou et al., "Product quantization for nearest neighbor search", 2010. Codebooks are learnt with faiss; coding and
decoding need numpy only.
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from patchline.vision.codecs.features.k_means import k_means
from patchline.vision.pixels.arrays import Floats, Progress

Codebooks: TypeAlias = NDArray[np.float16]
"""`(sub-spaces, codes, values)`. Half precision moves a value by less than 0.05 %, far less than any code is off."""

ITERATIONS = 20
"""Of k-means; by then the codebooks hardly change."""

_LARGEST_HALF = float(np.finfo(np.float16).max)


class SubspaceQuantiser:
    """Codes vectors of a fixed length by codebooks; sub-spaces are consecutive and as alike in width as can be.

    Args:
        books: A codebook a sub-space, padded with zeros to the widest.
        length: Values in a vector.
    """

    def __init__(self, books: Codebooks, length: int) -> None:
        self._books = books
        self._columns = columns_of(length, len(books))
        self._length = length
        # One product more a code, instead of a pass over all scores: each vector gets a one, each code -|code|^2 / 2.
        spaces, count, width = books.shape
        self._lookup = np.empty((spaces, width + 1, count), dtype=np.float32)
        self._lookup[:, :width] = books.transpose(0, 2, 1)
        self._lookup[:, width] = -np.square(self._lookup[:, :width]).sum(axis=1) / 2

    def codes(self, vectors: Floats) -> NDArray[np.uint8]:
        """For vectors `(P, length)` the nearest code in every sub-space, `(sub-spaces, P)`.

        |x - c|^2 is smallest where x.c - |c|^2 / 2 is largest: one matrix product a sub-space for all vectors.
        """
        spaces, width = self._columns.shape
        parts = np.ones((spaces, len(vectors), width + 1), dtype=np.float32)
        parts[:, :, :width] = cut(vectors, self._columns)
        nearest: NDArray[np.uint8] = np.argmax(np.matmul(parts, self._lookup), axis=2).astype(np.uint8)
        return nearest

    def vectors(self, codes: NDArray[np.uint8]) -> Floats:
        """The vectors `(P, length)` that codes `(sub-spaces, P)` stand for."""
        parts = self._books[np.arange(len(codes))[:, np.newaxis], codes]
        padded = np.empty((codes.shape[1], self._length + 1), dtype=np.float32)
        padded[:, self._columns] = parts.transpose(1, 0, 2)
        return np.ascontiguousarray(padded[:, : self._length])


def columns_of(length: int, spaces: int) -> NDArray[np.intp]:
    """Which values are in which sub-space, `(spaces, width of the widest)`; `length` stands for none."""
    edges = np.arange(spaces + 1) * length // spaces
    columns = edges[:-1, np.newaxis] + np.arange(np.diff(edges).max())
    return np.where(columns < edges[1:, np.newaxis], columns, length)


def cut(vectors: Floats, columns: NDArray[np.intp]) -> Floats:
    """Vectors `(P, length)` as `(sub-spaces, P, width)`, zero where a sub-space is narrower than the widest."""
    if columns.size == vectors.shape[1]:
        return vectors.reshape(len(vectors), *columns.shape).transpose(1, 0, 2)
    padded = np.concatenate([vectors, np.zeros((len(vectors), 1), dtype=np.float32)], axis=1)
    return padded[:, columns].transpose(1, 0, 2)


def learn_codebooks(
    vectors: Floats,
    spaces: int,
    bits: int,
    *,
    seed: int,
    on_progress: Progress | None = None,
) -> Codebooks:
    """Codebooks by k-means in every sub-space.

    Args:
        vectors: `(N, length)`, normal ones.
        spaces: Sub-spaces, at most `length`.
        bits: Of a code.
        seed: Of k-means.
        on_progress: Called after every sub-space.

    Raises:
        MisconfiguredError: faiss is not installed.
    """
    parts = cut(vectors, columns_of(vectors.shape[1], spaces))
    books = np.empty((spaces, 1 << bits, parts.shape[2]), dtype=np.float16)
    for space, part in enumerate(parts):
        centroids = k_means(np.ascontiguousarray(part), 1 << bits, seed=seed, iterations=ITERATIONS)
        books[space] = np.clip(centroids, -_LARGEST_HALF, _LARGEST_HALF)
        if on_progress is not None:
            on_progress(space + 1, spaces)
    return books
