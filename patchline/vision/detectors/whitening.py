"""Features measured from what is usual at their place, in units of how much they vary there.

Not from the papers. Distances between features weigh each direction by how large it happens to be in the backbone; here
they weigh it by how seldom a normal picture goes there. PaDiM does so with a covariance for each place; here all places
share one, so that a few pictures are enough for it.
"""

from collections.abc import Mapping
from typing import Any, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from patchline.vision.detectors.protocol import all_finite
from patchline.vision.pixels.arrays import Floats
from patchline.wire.errors import MisconfiguredError

Whiten: TypeAlias = Literal["off", "mean", "diagonal", "full"]
"""Features as they are; less the mean of their place; that, by each channel's deviation; that, by their covariance."""

FLOOR = 0.1
"""Share of the mean variance that is added to each, so that directions of hardly any are not blown up."""


class Whitening:
    """The mean of each place, and the matrix that makes what is left of normal pictures round.

    Args:
        mean: `(rows, columns, C)`.
        matrix: `(C, C)`.
    """

    def __init__(self, mean: Floats, matrix: Floats) -> None:
        self.mean, self.matrix = mean, matrix

    @classmethod
    def learn(cls, embeddings: Floats, kind: Literal["mean", "diagonal", "full"]) -> Self:
        """From embeddings of normal pictures, `(N, rows, columns, C)`; one picture tells its places' means alone."""
        mean = embeddings.mean(axis=0, dtype=np.float64).astype(np.float32)
        channels = embeddings.shape[-1]
        covariance = np.zeros((channels, channels))
        for picture in embeddings:
            left = (picture - mean).reshape(-1, channels).astype(np.float64)
            covariance += left.T @ left
        covariance /= max(1, len(embeddings) - 1) * mean[..., 0].size
        return cls(mean, _inverse_root(covariance, kind).astype(np.float32))

    def apply(self, embeddings: Floats) -> Floats:
        """Embeddings `(B, rows, columns, C)`, whitened.

        Raises:
            MisconfiguredError: They have other places than those that were learnt.
        """
        if embeddings.shape[1:] != self.mean.shape:
            raise MisconfiguredError(
                f"there are {embeddings.shape[1]}x{embeddings.shape[2]} places of {embeddings.shape[3]} channels, and "
                f"{'x'.join(map(str, self.mean.shape[:2]))} of {self.mean.shape[2]} were learnt",
                remedy="use the input size, backbone and taps that the artifact was commissioned with",
            )
        left = embeddings - self.mean
        whitened: Floats = np.matmul(left.reshape(-1, len(self.matrix)), self.matrix)
        return whitened.reshape(embeddings.shape)

    def tensors(self, suffix: str = "") -> dict[str, NDArray[Any]]:
        """As an artifact keeps it: `place_mean` and `whitener`, each with the suffix."""
        return {f"place_mean{suffix}": self.mean, f"whitener{suffix}": self.matrix}

    @classmethod
    def restore(cls, tensors: Mapping[str, NDArray[Any]], *, channels: int, suffix: str = "") -> Self:
        """The whitening that gave these `tensors`.

        Raises:
            MisconfiguredError: One is missing or not of its kind.
        """
        mean = tensors.get(f"place_mean{suffix}", np.empty(0))
        matrix = tensors.get(f"whitener{suffix}", np.empty(0))
        if (
            mean.shape[2:] != (channels,)
            or matrix.shape != (channels, channels)
            or {mean.dtype, matrix.dtype} != {np.dtype(np.float32)}
            or not (all_finite(mean) and all_finite(matrix))
        ):
            raise MisconfiguredError(
                "a tensor is missing or not of its kind",
                where=f"tensors place_mean{suffix} and whitener{suffix}",
                remedy="commission the station again",
            )
        return cls(mean, matrix)


def _inverse_root(covariance: NDArray[np.float64], kind: str) -> NDArray[np.float64]:
    """What whitens in place of a covariance: symmetric, so that channels stay where they are."""
    mean_variance = float(np.trace(covariance)) / len(covariance)
    if kind == "mean" or mean_variance == 0.0:
        return np.eye(len(covariance))
    if kind == "diagonal":
        return np.diag(1 / np.sqrt(np.diag(covariance) + FLOOR * mean_variance))
    variances, directions = np.linalg.eigh(covariance)
    root: NDArray[np.float64] = directions / np.sqrt(np.maximum(variances, 0) + FLOOR * mean_variance) @ directions.T
    return root
