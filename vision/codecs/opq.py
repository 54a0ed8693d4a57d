"""The rotation of optimised product quantisation.

Ge et al., "Optimized Product Quantization for Approximate Nearest Neighbor Search", CVPR 2013: principal directions
dealt to the sub-spaces so that their variances have about the same product (section 3.2), then codebooks and rotation
in turn (section 3.1).
"""

import numpy as np
from numpy.typing import NDArray

from vision.arrays import Floats
from vision.codecs.subspaces import SubspaceQuantiser, columns_of, learn_codebooks

ROUNDS = 6
"""Of codebooks and rotation in turn."""

_K_MEANS_ITERATIONS = 4
_VECTORS = 8192
"""A rotation has few degrees of freedom beside codebooks: these are enough to find it."""


def learn_rotation(vectors: Floats, spaces: int, bits: int, *, seed: int) -> Floats:
    """An orthogonal matrix `(length, length)`: `vectors @ rotation` is what the sub-spaces are cut from.

    Raises:
        MisconfiguredError: faiss is not installed.
    """
    few = vectors[:: max(1, len(vectors) // _VECTORS)]
    rotation = _dealt_directions(few, spaces)
    for _ in range(ROUNDS):
        turned = few @ rotation
        books = learn_codebooks(turned, spaces, bits, seed=seed, iterations=_K_MEANS_ITERATIONS)
        quantiser = SubspaceQuantiser(books, few.shape[1])
        decoded = quantiser.vectors(quantiser.codes(turned))
        # The rotation that brings the vectors nearest to their decoded ones (orthogonal Procrustes).
        left, _, right = np.linalg.svd(few.T.astype(np.float64) @ decoded)
        rotation = (left @ right).astype(np.float32)
    return rotation


def _dealt_directions(vectors: Floats, spaces: int) -> Floats:
    """Principal directions in the order in which the sub-spaces take them."""
    centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    variances, directions = np.linalg.eigh(centred.T @ centred / len(vectors))
    columns = columns_of(vectors.shape[1], spaces)
    rooms = (columns < vectors.shape[1]).sum(axis=1)
    logarithms = np.log(np.maximum(variances, variances[-1] * 1e-9 + 1e-30))
    taken: list[list[int]] = [[] for _ in range(spaces)]
    products = np.zeros(spaces)
    for direction in reversed(range(len(variances))):
        space = int(
            np.argmin(np.where([len(each) < room for each, room in zip(taken, rooms, strict=True)], products, np.inf))
        )
        taken[space].append(direction)
        products[space] += logarithms[direction] - logarithms[0]
    order: NDArray[np.intp] = np.concatenate([np.array(each, dtype=np.intp) for each in taken])
    return directions[:, order].astype(np.float32)
