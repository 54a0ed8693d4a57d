"""What a camera's picture says about the camera: is there light, is it sharp, is it burnt out or black."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_BLACK = 2
_WHITE = 253
"""Grey levels up to and from which a pixel holds no detail."""


class PictureHealth(NamedTuple):
    """Three figures of one picture.

    Attributes:
        brightness: Mean grey level, 0 (black) to 1 (white).
        focus: Variance of the Laplacian, in squared grey levels; falls as the lens drifts out of focus.
        clipped: Share of pixels that are black or white, 0 to 1.
    """

    brightness: float
    focus: float
    clipped: float


def look_at(pixels: NDArray[np.uint8]) -> PictureHealth:
    """The health of a picture, by its green channel: half of all that a colour sensor sees, and free to take.

    Focus after Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy", 2000: the variance of the
    4-neighbour Laplacian. It depends on the picture's size, so only pictures of one size can be compared.

    Args:
        pixels: `(H, W, 3)` uint8, at the size that is sent.
    """
    green = np.ascontiguousarray(pixels[..., 1])
    levels = np.bincount(green.ravel(), minlength=256)
    grey = green.astype(np.int16)
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * grey[1:-1, 1:-1]
    flat = laplacian.ravel().astype(np.float32)
    return PictureHealth(
        brightness=float(levels @ np.arange(256)) / (255.0 * green.size),
        focus=float(flat.var()) if flat.size else 0.0,
        clipped=float(levels[: _BLACK + 1].sum() + levels[_WHITE:].sum()) / green.size,
    )
