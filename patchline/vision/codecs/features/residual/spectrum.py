"""From feature maps to nearly independent numbers that all count alike, and back.

For each tap the normal mean of every place is taken away, and the rest goes through a cosine transform over the whole
map (Ahmed, Natarajan and Rao, 1974). Each frequency is then weighed by how much of it a detector gets to see: PatchCore
and FAPM average 3x3 neighbourhoods and resample coarse taps to the finest grid before they measure a distance, so with
`A` the matrix of both along an axis, frequency k of that axis counts `|A d_k|`, `d_k` its cosine. Last, all channels of
all taps that have a frequency are decorrelated together, by the principal axes of their band of frequencies
(Karhunen-Loeve; Jain, 1989, section 5.11): a coarse tap says much about the low frequencies of a finer one.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from patchline.vision.codecs.features.form import PictureMaps
from patchline.vision.codecs.features.protocol import Shapes
from patchline.vision.nearest.embedding import average_pool_3x3, interpolation
from patchline.vision.pixels.arrays import FeatureMaps, Floats, Size

BAND_EDGES = (1 / 14, 1 / 5.6, 1 / 2.8)
"""Between the bands, as shares of the finest grid's highest frequency: narrow below, where channels differ most."""

_FAINTEST = 0.1
"""The least a frequency counts, of the most: averaging hides some almost wholly, and no weight may be 0."""


@dataclass(frozen=True, slots=True)
class Band:
    """Coefficients that are decorrelated together.

    Attributes:
        places: `(channels, frequencies)`, where they stand among all coefficients of all taps.
    """

    places: NDArray[np.intp]


class Spectrum:
    """The transform that needs no training: cosines and their weights, and which coefficients belong together."""

    def __init__(self, shapes: Shapes) -> None:
        self.shapes = dict(shapes)
        rows, columns = finest = _finest(shapes)
        self.cosines: list[tuple[Floats, Floats, Floats]] = []
        for _, height, width in shapes.values():
            down, across = _cosines(height), _cosines(width)
            weights = np.outer(_loudness(down, rows), _loudness(across, columns))
            self.cosines.append(
                (down, across.T.copy(), np.maximum(weights, _FAINTEST * weights.max()).astype(np.float32))
            )
        self.bands = _bands(shapes, finest)

    @property
    def size(self) -> int:
        """How many coefficients a picture has."""
        return sum(band.places.size for band in self.bands)

    def forward(self, departures: FeatureMaps) -> Floats:
        """Weighted cosine coefficients, `(N, size)`, of what departs from the mean, `(N, C, h, w)` a tap."""
        parts = []
        for (down, across, weights), array in zip(self.cosines, departures.values(), strict=True):
            spectrum = np.matmul(np.matmul(down, array), across)
            spectrum *= weights
            parts.append(spectrum.reshape(len(array), -1))
        return np.concatenate(parts, axis=1)

    def backward(self, coefficients: Floats) -> PictureMaps:
        """What departs from the mean, `(C, h, w)` a tap, of the coefficients `(size,)` of one picture."""
        maps, start = {}, 0
        for (tap, shape), (down, across, weights) in zip(self.shapes.items(), self.cosines, strict=True):
            count = int(np.prod(shape))
            spectrum = coefficients[start : start + count].reshape(shape) / weights
            maps[tap] = np.matmul(np.matmul(down.T, spectrum), across.T)
            start += count
        return maps


class Decorrelation:
    """The channels of each band turned to their principal axes, the strongest first."""

    def __init__(self, bands: list[Band], axes: list[Floats]) -> None:
        self._bands, self._axes = bands, axes

    def forward(self, coefficients: Floats) -> Floats:
        """`(N, size)` in the order of the taps becomes `(N, size)` in the order of the bands, channel by channel."""
        parts = []
        for band, axes in zip(self._bands, self._axes, strict=True):
            turned = np.matmul(axes, coefficients.take(band.places, axis=1))
            parts.append(turned.reshape(len(coefficients), -1))
        return np.concatenate(parts, axis=1)

    def backward(self, turned: Floats) -> Floats:
        """The way back, of one picture: `(size,)` to `(size,)`."""
        coefficients, start = np.empty_like(turned), 0
        for band, axes in zip(self._bands, self._axes, strict=True):
            part = turned[start : start + band.places.size].reshape(band.places.shape)
            coefficients[band.places] = axes.T @ part
            start += band.places.size
        return coefficients


def principal_axes(bands: list[Band], coefficients: Floats) -> list[Floats]:
    """The axes of each band, `(channels, channels)`, one a row.

    A band of few frequencies in few pictures has too few vectors for a covariance; so much of the covariance of all
    bands with the same channels is mixed in as if it were two vectors a channel (shrinkage; Ledoit and Wolf, 2004).
    """
    sums: dict[int, NDArray[Any]] = {}
    counts: dict[int, int] = {}
    own = []
    for band in bands:
        vectors = coefficients[:, band.places].transpose(1, 0, 2).reshape(len(band.places), -1)
        own.append((vectors @ vectors.T).astype(np.float64))
        channels = len(band.places)
        sums[channels] = sums.get(channels, 0) + own[-1]
        counts[channels] = counts.get(channels, 0) + vectors.shape[1]
    axes = []
    for covariance in own:
        channels = len(covariance)
        pooled = sums[channels] / counts[channels]
        scale = np.trace(covariance) / max(float(np.trace(pooled)), 1e-30)
        mixed = covariance + 2 * channels * min(1.0, scale) * pooled
        vectors = np.linalg.eigh(mixed)[1][:, ::-1].T
        signs = np.sign(vectors[np.arange(channels), np.abs(vectors).argmax(axis=1)])
        axes.append((vectors * signs[:, None]).astype(np.float32))
    return axes


def _finest(shapes: Shapes) -> Size:
    return max(shape[1] for shape in shapes.values()), max(shape[2] for shape in shapes.values())


def _cosines(length: int) -> Floats:
    """The orthonormal cosine transform of one axis (DCT-II), one frequency a row."""
    angles = np.pi / length * np.outer(np.arange(length), np.arange(length) + 0.5)
    matrix = np.cos(angles) * np.sqrt(2 / length)
    matrix[0] = np.sqrt(1 / length)
    frequencies: Floats = matrix.astype(np.float32)
    return frequencies


def _loudness(cosines: Floats, length: int) -> NDArray[np.float64]:
    """How long each cosine of an axis is once it has been averaged over neighbours and resampled to a finer grid."""
    count = len(cosines)
    # Along an axis of length 1 the pooling takes a third, which is given back.
    pooled = average_pool_3x3(cosines.reshape(1, count, count, 1)).reshape(count, count) * 3
    resampled = pooled.astype(np.float64) @ interpolation(count, length).T.astype(np.float64)
    lengths: NDArray[np.float64] = np.sqrt(np.square(resampled).sum(axis=1))
    return lengths


def _bands(shapes: Shapes, finest: Size) -> list[Band]:
    """Frequencies by the taps that have them and by their distance from frequency 0."""
    rows, columns = finest
    owners = np.zeros(finest, dtype=np.int64)
    for number, (_, height, width) in enumerate(shapes.values()):
        owners[:height, :width] |= 1 << number
    radius = np.hypot(np.arange(rows)[:, None] / rows, np.arange(columns)[None] / columns)
    ring = np.searchsorted(BAND_EDGES, radius, side="right")
    bands = []
    for owner in np.unique(owners[owners > 0])[::-1]:
        for number in range(len(BAND_EDGES) + 1):
            down, across = np.nonzero((owners == owner) & (ring == number))
            if len(down):
                bands.append(Band(_places(shapes, int(owner), down, across)))
    return bands


def _places(shapes: Shapes, owner: int, down: NDArray[np.intp], across: NDArray[np.intp]) -> NDArray[np.intp]:
    parts, start = [], 0
    for number, (channels, height, width) in enumerate(shapes.values()):
        if owner >> number & 1:
            parts.append(start + np.arange(channels)[:, None] * (height * width) + down * width + across)
        start += channels * height * width
    return np.concatenate(parts)
