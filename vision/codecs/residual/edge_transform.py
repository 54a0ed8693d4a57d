"""What `spectrum` defines, for one picture and as fast as an edge needs it.

The mean is taken away last, as the coefficients it has itself. Frequencies are put in the order of the bands as rows of
all channels, so that they move as blocks and each band's turn is one product of matrices.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vision.arrays import Floats
from vision.codecs.feature_form import PictureMaps
from vision.codecs.residual.spectrum import Band, Spectrum


class _Tap(NamedTuple):
    """One tap: its cosines, its frequencies in the order of the bands, and the weight of each, `(frequencies, 1)`."""

    down: Floats
    across: Floats
    order: NDArray[np.intp]
    weights: Floats


class EdgeTransform:
    """From the feature maps of one picture to coefficients in the order of the bands.

    Args:
        spectrum: Of the maps' shapes.
        axes: Of each band, see `Decorrelation`.
        means: Of normal pictures, `(C, h, w)` a tap.
    """

    def __init__(self, spectrum: Spectrum, axes: list[Floats], means: PictureMaps) -> None:
        self._axes, self._size = axes, spectrum.size
        self._taps: list[_Tap] = []
        self._parts: list[list[tuple[int, slice]]] = [[] for _ in spectrum.bands]
        start = 0
        for number, (shape, (down, across, weights)) in enumerate(
            zip(spectrum.shapes.values(), spectrum.cosines, strict=True)
        ):
            count = int(np.prod(shape))
            order = self._place(number, [_frequencies(band, start, count) for band in spectrum.bands])
            self._taps.append(_Tap(down, across.T.copy(), order, weights.ravel()[order][:, None]))
            start += count
        self._mean = np.zeros(self._size, np.float32)
        self._mean = self(means)

    def __call__(self, maps: PictureMaps) -> Floats:
        """The coefficients, `(size,)`, of maps `(C, h, w)` a tap."""
        spectra = [_spectrum(tap, array) for tap, array in zip(self._taps, maps.values(), strict=True)]
        coefficients, start = np.empty(self._size, np.float32), 0
        for axes, parts in zip(self._axes, self._parts, strict=True):
            pieces = [spectra[tap][rows] for tap, rows in parts]
            rows = pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis=1)
            end = start + rows.size
            np.matmul(axes, rows.T, out=coefficients[start:end].reshape(len(axes), -1))
            start = end
        coefficients -= self._mean
        return coefficients

    def _place(self, tap: int, frequencies: list[NDArray[np.intp]]) -> NDArray[np.intp]:
        """Note which rows of a tap each band takes, and give the frequencies in their order."""
        start = 0
        for parts, own in zip(self._parts, frequencies, strict=True):
            if len(own):
                parts.append((tap, slice(start, start + len(own))))
                start += len(own)
        return np.concatenate(frequencies)


def _frequencies(band: Band, start: int, count: int) -> NDArray[np.intp]:
    """The frequencies that a band takes of the tap whose coefficients begin at `start`, if any."""
    own = band.places[(band.places[:, 0] >= start) & (band.places[:, 0] < start + count)]
    return own[0] - start if len(own) else np.empty(0, np.intp)


def _spectrum(tap: _Tap, array: Floats) -> Floats:
    """Weighted cosine coefficients, `(frequencies, C)`."""
    channels, height, width = array.shape
    rows = np.ascontiguousarray(array.reshape(channels, -1).T)
    columns = np.matmul(tap.down, rows.reshape(height, -1)).reshape(height, width, channels)
    spectrum: Floats = np.matmul(tap.across, columns).reshape(-1, channels).take(tap.order, axis=0)
    spectrum *= tap.weights
    return spectrum
