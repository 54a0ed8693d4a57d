"""From patch scores to a map of the picture's size.

Enlarging bilinearly and blurring with a Gaussian are both linear along each axis, so a map is `D @ patches @ A.T`
with one matrix for the rows and one for the columns, made once for each size: exact, and a tenth of a millisecond.
"""

from functools import lru_cache

import numpy as np

from patchline.vision.nearest.embedding import interpolation
from patchline.vision.pixels.arrays import Floats, Size

TRUNCATE = 4.0
"""The Gaussian ends at this many sigmas, as in `scipy.ndimage.gaussian_filter`."""


def render(patch_scores: Floats, size: Size, *, sigma: float = 4.0) -> Floats:
    """The anomaly map: patch scores enlarged bilinearly, then blurred (PatchCore, section 3.3, with sigma 4).

    Equal to `scipy.ndimage.gaussian_filter` with its default `mode="reflect"` of torch's bilinear `interpolate`.

    Args:
        patch_scores: `(B, gh, gw)`.
        size: Height and width of the map.
        sigma: Standard deviation of the blur, in pixels of the map; 0 leaves it sharp.

    Returns:
        `(B, *size)` float32, in the units of the patch scores.
    """
    down = rendering_matrix(patch_scores.shape[1], size[0], sigma)
    across = rendering_matrix(patch_scores.shape[2], size[1], sigma)
    maps: Floats = np.matmul(np.matmul(down, patch_scores), across.T)
    return maps


@lru_cache(maxsize=64)
def rendering_matrix(patches: int, pixels: int, sigma: float) -> Floats:
    """Enlarging and blurring along one axis, `(pixels, patches)`."""
    matrix = _blur(pixels, sigma) @ interpolation(patches, pixels).astype(np.float64)
    frozen = matrix.astype(np.float32)
    frozen.flags.writeable = False
    return frozen


def _blur(length: int, sigma: float) -> np.ndarray:
    """Gaussian blur along one axis as a matrix; edges reflect half a sample outside (`d c b a | a b c d | d c b a`)."""
    if sigma == 0:
        return np.eye(length)
    radius = int(TRUNCATE * sigma + 0.5)
    offsets = np.arange(-radius, radius + 1)
    kernel = np.exp(-0.5 * (offsets / sigma) ** 2)
    kernel /= kernel.sum()
    targets = np.arange(length)
    matrix = np.zeros((length, length))
    for offset, weight in zip(offsets, kernel, strict=True):
        sources = (targets + offset) % (2 * length)
        np.add.at(matrix, (targets, np.minimum(sources, 2 * length - 1 - sources)), weight)
    return matrix
