"""What `spectrum` defines, for one picture and as fast as an edge needs it.

After the backbone nothing is in the processor's caches, so a call costs by what it touches: the maps are read once, as
they lie; the weights are part of the second cosine transform; and each band's turn is one product, written where it is
to stay. The mean is taken away last, as the coefficients it has itself.
"""

from itertools import groupby
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from patchline.vision.codecs.features.form import PictureMaps
from patchline.vision.codecs.features.residual.spectrum import Band, Spectrum
from patchline.vision.pixels.arrays import Floats


class _Tap(NamedTuple):
    """One tap: cosines across, `(w, w)`; cosines down with their weights, `(w, h, h)`; frequencies by band.

    A frequency is the row across x height + down.
    """

    across: Floats
    down: Floats
    order: NDArray[np.intp]


class _Group(NamedTuple):
    """Bands of the same taps: which rows of which taps, and each band's rows among these and axes, `(C, C)`."""

    parts: list[tuple[int, slice]]
    bands: list[tuple[slice, Floats]]


class EdgeTransform:
    """From the feature maps of one picture to its coefficients, band by band, frequency by frequency.

    Args:
        spectrum: Of the maps' shapes.
        axes: Of each band, see `Decorrelation`.
        means: Of normal pictures, `(C, h, w)` a tap.

    Attributes:
        order: `(size,)`, where the coefficients stand that `Decorrelation` gives, which go channel by channel.
    """

    def __init__(self, spectrum: Spectrum, axes: list[Floats], means: PictureMaps) -> None:
        self._size = spectrum.size
        self._taps: list[_Tap] = []
        owned: list[list[NDArray[np.intp]]] = []
        start = 0
        for shape, (down, across, weights) in zip(spectrum.shapes.values(), spectrum.cosines, strict=True):
            count = int(np.prod(shape))
            owned.append([_frequencies(band, start, count, shape[1:]) for band in spectrum.bands])
            weighted = np.ascontiguousarray(weights.T[:, :, None] * down)
            self._taps.append(_Tap(across.T.copy(), weighted, np.concatenate(owned[-1])))
            start += count
        self._groups = _groups(owned, axes)
        self.order = np.concatenate(_orders(spectrum.bands))
        self._mean = np.zeros(self._size, np.float32)
        self._mean = self(means)

    def __call__(self, maps: PictureMaps) -> Floats:
        """The coefficients, `(size,)`, of maps `(C, h, w)` a tap."""
        spectra = [_spectrum(tap, array) for tap, array in zip(self._taps, maps.values(), strict=True)]
        coefficients, start = np.empty(self._size, np.float32), 0
        for parts, bands in self._groups:
            pieces = [spectra[tap][rows] for tap, rows in parts]
            together = pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis=1)
            for rows, axes in bands:
                own = together[rows]
                end = start + own.size
                np.matmul(own, axes.T, out=coefficients[start:end].reshape(own.shape))
                start = end
        coefficients -= self._mean
        return coefficients


def _groups(owned: list[list[NDArray[np.intp]]], axes: list[Floats]) -> list[_Group]:
    """Neighbouring bands of the same taps, from the frequencies that each tap has in each band."""
    groups = []
    at = [0] * len(owned)
    for taps, members in groupby(
        range(len(axes)), lambda band: [tap for tap, own in enumerate(owned) if len(own[band])]
    ):
        bands, rows = [], 0
        for band in members:
            count = len(owned[taps[0]][band])
            bands.append((slice(rows, rows + count), axes[band]))
            rows += count
        groups.append(_Group([(tap, slice(at[tap], at[tap] + rows)) for tap in taps], bands))
        for tap in taps:
            at[tap] += rows
    return groups


def _orders(bands: list[Band]) -> list[NDArray[np.intp]]:
    """Where each band's coefficients stand, channel by channel, that lie frequency by frequency."""
    orders, start = [], 0
    for band in bands:
        channels, frequencies = band.places.shape
        orders.append(start + np.arange(band.places.size).reshape(frequencies, channels).T.ravel())
        start += band.places.size
    return orders


def _frequencies(band: Band, start: int, count: int, size: tuple[int, int]) -> NDArray[np.intp]:
    """The frequencies that a band takes of the tap whose coefficients begin at `start`, if any."""
    own = band.places[(band.places[:, 0] >= start) & (band.places[:, 0] < start + count)]
    if not len(own):
        return np.empty(0, np.intp)
    down, across = np.divmod(own[0] - start, size[1])
    rows: NDArray[np.intp] = across * size[0] + down
    return rows


def _spectrum(tap: _Tap, array: Floats) -> Floats:
    """Weighted cosine coefficients, `(frequencies, C)`."""
    channels, height, width = array.shape
    columns = np.matmul(tap.across, array.reshape(-1, width).T).reshape(width, channels, height)
    spectrum: Floats = np.matmul(tap.down, columns.transpose(0, 2, 1)).reshape(-1, channels)
    return spectrum.take(tap.order, axis=0)
