"""Input sizes worth trying beside the one asked for: the pictures' own aspect, and more pixels."""

from collections.abc import Sequence
from math import ceil, exp, sqrt

import numpy as np

from patchline.vision.pixels.arrays import Size

LONGER = (1.0, 256 / 224, 320 / 224)
"""How much longer the sides of what is tried are: as many pixels as asked for, a third more, and twice as many."""
SMALLEST, LARGEST = 16, 8192
"""Sides an artifact and a profile can name."""


def sizes_to_try(asked: Size, stored: Sequence[Size], stride: int) -> tuple[Size, ...]:
    """The pictures' own aspect with about as many pixels as asked for, then with more and more.

    Args:
        asked: The input size otherwise taken.
        stored: Sizes of the pictures; where they differ, the aspect in the middle counts.
        stride: Of the coarsest tap: sides are its multiples, so that no tap's last row or column is cut.

    Returns:
        Without the one asked for; of square pictures only the larger ones are left.
    """
    aspect = exp(float(np.median([np.log(height / width) for height, width in stored])))
    side, stretch = sqrt(asked[0] * asked[1]), sqrt(aspect)
    sizes = [
        (_multiple(side * longer * stretch, stride), _multiple(side * longer / stretch, stride)) for longer in LONGER
    ]
    return tuple(size for size in dict.fromkeys(sizes) if size != asked)


def written(size: Size) -> str:
    """A size as a person gives it: HEIGHTxWIDTH."""
    return f"{size[0]}x{size[1]}"


def _multiple(side: float, stride: int) -> int:
    return int(np.clip(max(1, round(side / stride)), ceil(SMALLEST / stride), LARGEST // stride)) * stride
