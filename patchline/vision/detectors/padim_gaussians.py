"""PaDiM's patch distributions: a Gaussian for every place, kept as what makes it round."""

import numpy as np
from numpy.typing import NDArray

from patchline.vision.pixels.arrays import Floats, Progress, Size

_BLOCK_NUMBERS = 4_000_000
"""Numbers of the covariances made at once: 32 MB in float64."""


class Gaussians:
    """Means, and the inverses of the Cholesky factors of covariances: a Mahalanobis distance is one matrix product.

    With `S = L Lᵀ`, `(x - m)ᵀ S⁻¹ (x - m)` is the squared length of `L⁻¹ (x - m)`.

    Args:
        mean: `(rows, columns, C)`.
        whitening: `(rows, columns, C (C + 1) / 2)`, the lower triangle of each `L⁻¹` row by row; or
            `(rows, columns, C)`, its diagonal, where there is nothing else.
    """

    def __init__(self, mean: Floats, whitening: Floats) -> None:
        self.mean, self.whitening = mean, whitening
        rows, columns, channels = mean.shape
        self.grid: Size = (rows, columns)
        self._matrices: Floats | None = None
        if whitening.shape[2] != channels or channels == 1:
            self._matrices = np.zeros((rows * columns, channels, channels), dtype=np.float32)
            self._matrices[:, *np.tril_indices(channels)] = whitening.reshape(rows * columns, -1)

    def distances(self, patches: Floats) -> Floats:
        """Mahalanobis distances `(B, rows, columns)` of patches `(B, rows, columns, C)`."""
        differences = patches - self.mean
        if self._matrices is None:
            differences *= self.whitening
            return _lengths(differences)
        count, rows, columns, channels = patches.shape
        by_place = differences.reshape(count, rows * columns, channels).transpose(1, 2, 0)
        whitened = np.matmul(self._matrices, by_place)
        squares: Floats = np.einsum("pcb,pcb->bp", whitened, whitened)
        return np.sqrt(squares).reshape(count, rows, columns)


def learn(
    patches: Floats,
    *,
    diagonal: bool,
    shrinkage: float | None,
    regularisation: float,
    on_progress: Progress | None = None,
) -> Gaussians:
    """The Gaussian of every place (eq. 1), in float64.

    Args:
        patches: `(N, rows, columns, C)` of normal pictures; one is enough, as its covariance is then `regularisation`.
        diagonal: Whether only the variance of each channel is learnt.
        shrinkage: As `shrunk` takes it.
        regularisation: Added to the diagonals.
        on_progress: Counts places.
    """
    count, rows, columns, channels = patches.shape
    places = rows * columns
    by_place = patches.reshape(count, places, channels)
    means = by_place.mean(axis=0, dtype=np.float64)
    lower = np.tril_indices(channels)
    whitening = np.empty((places, channels if diagonal else len(lower[0])), dtype=np.float32)
    step = max(1, _BLOCK_NUMBERS // (channels * max(channels, count)))
    for start in range(0, places, step):
        block = slice(start, min(start + step, places))
        centred = by_place[:, block].transpose(1, 0, 2) - means[block, None]
        if diagonal:
            variances = np.einsum("pnc,pnc->pc", centred, centred) / max(count - 1, 1)
            whitening[block] = 1 / np.sqrt(_shrunk_variances(variances, count, shrinkage) + regularisation)
        else:
            covariances = np.matmul(centred.transpose(0, 2, 1), centred) / max(count - 1, 1)
            covariances = shrunk(covariances, count, shrinkage) + regularisation * np.eye(channels)
            whitening[block] = np.linalg.inv(np.linalg.cholesky(covariances))[:, *lower]
        if on_progress is not None:
            on_progress(block.stop, places)
    return Gaussians(
        means.astype(np.float32).reshape(rows, columns, channels), whitening.reshape(rows, columns, whitening.shape[1])
    )


def shrunk(covariances: NDArray[np.float64], count: int, shrinkage: float | None) -> NDArray[np.float64]:
    """Covariances drawn towards the sphere of the same mean variance.

    Args:
        covariances: `(places, C, C)`.
        count: Of the samples they rest on.
        shrinkage: Share of the sphere, 0 to 1; None takes each place's own by the oracle approximating shrinkage of
            Chen, Wiesel, Eldar and Hero, "Shrinkage Algorithms for MMSE Covariance Estimation", IEEE Trans. Signal
            Processing 58(10), 2010, eq. 23 without its terms in 2/C, as scikit-learn's `OAS` has it.
    """
    channels = covariances.shape[1]
    variance = np.einsum("pcc->p", covariances) / channels
    squares = np.einsum("pcd,pcd->p", covariances, covariances)
    share = _share(squares, variance, channels, count, shrinkage)
    mixed: NDArray[np.float64] = (1 - share)[:, None, None] * covariances
    mixed += (share * variance)[:, None, None] * np.eye(channels)
    return mixed


def _shrunk_variances(variances: NDArray[np.float64], count: int, shrinkage: float | None) -> NDArray[np.float64]:
    channels = variances.shape[1]
    variance = variances.mean(axis=1)
    share = _share((variances**2).sum(axis=1), variance, channels, count, shrinkage)
    mixed: NDArray[np.float64] = (1 - share)[:, None] * variances + (share * variance)[:, None]
    return mixed


def _share(
    squares: NDArray[np.float64], variance: NDArray[np.float64], channels: int, count: int, shrinkage: float | None
) -> NDArray[np.float64]:
    """How much of the sphere, for sums of squared entries and mean variances `(places,)`."""
    if shrinkage is not None:
        return np.full(len(variance), shrinkage)
    excess = (count + 1) * (squares - channels * variance**2)
    wanted = squares + (channels * variance) ** 2
    return np.minimum(1.0, np.divide(wanted, excess, out=np.ones_like(excess), where=excess > 0))


def _lengths(differences: Floats) -> Floats:
    squares: Floats = np.einsum("...c,...c->...", differences, differences)
    return np.sqrt(squares)
