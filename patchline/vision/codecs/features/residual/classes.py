"""How large each coefficient usually is: a class a sixth of an octave wide, relative to the quantiser's step."""

import numpy as np
from numpy.typing import NDArray

from patchline.vision.codecs.features.residual.spectrum import Band
from patchline.vision.pixels.arrays import Floats

CLASSES = 64
PER_OCTAVE = 6
"""Classes, and levels of the step, to a factor of two: a level up moves every coefficient one class down."""
OCTAVES_BELOW = 4.5
"""How far below the step the lowest class lies: 22 times smaller, a value other than zero is one in ten thousand."""

_PRIOR_PICTURES = 8

Classes = NDArray[np.uint8]


def usual_sizes(bands: list[Band], coefficients: Floats) -> NDArray[np.float64]:
    """The standard deviation of each coefficient, `(size,)`, from those of normal pictures, `(N, size)`.

    Few pictures say little of one coefficient. So what all frequencies of its channel and all channels of its frequency
    say together, as if they were independent, counts like eight pictures more.
    """
    squares: NDArray[np.float64] = np.square(coefficients).mean(axis=0, dtype=np.float64)
    count, parts, start = len(coefficients), [], 0
    for band in bands:
        own = squares[start : start + band.places.size].reshape(band.places.shape)
        expected = np.outer(own.mean(axis=1), own.mean(axis=0)) / max(float(own.mean()), 1e-30)
        parts.append((count * own + _PRIOR_PICTURES * expected).ravel() / (count + _PRIOR_PICTURES))
        start += band.places.size
    return np.sqrt(np.concatenate(parts))


def classes_of(sizes: NDArray[np.float64], step: float) -> Classes:
    """The class of each coefficient at a step."""
    octaves = np.log2(np.maximum(sizes / step, 1e-9)) + OCTAVES_BELOW
    return np.clip(np.floor(octaves * PER_OCTAVE), 0, CLASSES - 1).astype(np.uint8)


def size_of_class() -> NDArray[np.float64]:
    """The standard deviation in the middle of each class, in steps."""
    sizes: NDArray[np.float64] = np.exp2((np.arange(CLASSES) + 0.5) / PER_OCTAVE - OCTAVES_BELOW)
    return sizes
