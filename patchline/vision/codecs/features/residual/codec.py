"""Send only the departure of a picture's feature maps from what is normal at each place, in no more than so many bytes.

The profile tells the edge what normal looks like: the mean of every channel at every place, how the rest correlates,
how large each of its coefficients usually is, and how often each value occurs. A normal picture then has little to say,
and a defect is what takes the bytes. A picture that departs so much that it would be over the limit is coded with a
coarser step: what is large is seen all the same. Decision 9 in `docs/explanation/decisions` lists what was tried; the
modules give the formulae.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from patchline.vision.codecs.features.form import PictureMaps, TensorForms, values_of, wrong_tensor
from patchline.vision.codecs.features.protocol import Shapes
from patchline.vision.codecs.features.residual.edge_transform import EdgeTransform
from patchline.vision.codecs.features.residual.entropy import WHOLE
from patchline.vision.codecs.features.residual.fitting import SEARCHES, search, usual_sizes
from patchline.vision.codecs.features.residual.picture import PictureCoder, Statistics
from patchline.vision.codecs.features.residual.spectrum import Decorrelation, Spectrum, principal_axes
from patchline.vision.codecs.features.residual.tables import (
    CLASSES,
    COMMON,
    EXACT,
    MASKS,
    NOTHING,
    ROWS,
    SYMBOLS,
    VALUE_SYMBOLS,
    Quantiser,
)
from patchline.vision.codecs.features.sealed_codec import SEAL_BYTES, Lesson, SealedFeatureCodec
from patchline.vision.pixels.arrays import FeatureMaps, Floats
from patchline.wire.errors import MisconfiguredError

FEWEST_BYTES, MOST_BYTES = 128, 65536
_PARAMETER = re.compile(r"[1-9][0-9]{2,4}", re.ASCII)
_FEWEST_PICTURES = 2
_STEPS_BEFORE_SEARCH = 2
_MOST_TAPS, _MOST_BANDS = 32, 255


class ResidualCodec(SealedFeatureCodec):
    """Departures from normal, transformed, quantised and entropy coded."""

    family: ClassVar[str] = "residual"
    usage: ClassVar[str] = f"residual:BYTES (the most a picture may take, {FEWEST_BYTES} to {MOST_BYTES})"
    examples: ClassVar[tuple[str, ...]] = ("residual:1000", "residual:250")
    refused: ClassVar[tuple[str | None, ...]] = (
        None,
        "",
        "127",
        "65537",
        "1e3",
        "1000B",
        "0500",
        "\u0661000",
        "1000\n",
    )

    def __init__(self, parameter: str | None, shapes: Shapes, tensors: Mapping[str, NDArray[Any]]) -> None:
        super().__init__(parameter, shapes, tensors)
        self._spectrum = Spectrum(shapes)
        self._means = _means(shapes, tensors)
        bands = self._spectrum.bands
        axes = [tensors[f"axes.{number}"].astype(np.float32) for number in range(len(bands))]
        self._decorrelation = Decorrelation(bands, axes)
        self._transform = EdgeTransform(self._spectrum, axes, self._means)
        _check_ranges(tensors)
        quantiser = Quantiser(tensors["thresholds"], tensors["roundings"], tensors["centroids"])
        statistics = Statistics(float(tensors["step"][0]), tensors["classes"], tensors["frequencies"], quantiser)
        sizes = [band.places.size for band in bands]
        self._coder = PictureCoder(statistics, sizes, self.longest_body, self._transform.order)

    @classmethod
    def check(cls, parameter: str | None) -> None:
        """See `FeatureCodec.check`."""
        if not _PARAMETER.fullmatch(parameter or "") or not FEWEST_BYTES <= int(parameter or 0) <= MOST_BYTES:
            raise MisconfiguredError(
                f"{parameter!r} is no number of bytes of the codec {cls.family}",
                where="codec",
                remedy=f"write {cls.usage}",
            )

    @classmethod
    def learn(cls, lesson: Lesson) -> dict[str, NDArray[Any]]:
        """See `SealedFeatureCodec.learn`; needs two pictures, and nothing in it is random."""
        if len(next(iter(lesson.maps.values()))) < _FEWEST_PICTURES:
            raise MisconfiguredError(
                "one picture does not show how normal pictures differ",
                where=f"codec {cls.family}",
                remedy="give at least two normal pictures",
            )
        bands = [band.places.size for band in _spectrum_of(lesson.shapes).bands]
        limit, total = int(lesson.parameter or 0) - SEAL_BYTES, _STEPS_BEFORE_SEARCH + SEARCHES
        steps = iter(range(1, total + 1))

        def advance() -> None:
            done = next(steps)
            if lesson.on_progress is not None:
                lesson.on_progress(done, total)

        tensors, turned, sizes = _learn_coefficients(lesson.maps, advance)
        found = search(turned, sizes, bands, limit, advance)
        return tensors | {
            "classes": found.classes,
            "step": np.array([found.step], np.float32),
            "frequencies": found.tables,
            "thresholds": found.quantiser.thresholds,
            "roundings": found.quantiser.roundings,
            "centroids": found.quantiser.centroids,
        }

    @classmethod
    def forms(cls, parameter: str | None, shapes: Shapes) -> TensorForms:  # noqa: ARG003 it changes no shape
        """See `SealedFeatureCodec.forms`."""
        bands = _spectrum_of(shapes).bands
        return (
            {f"mean.{tap}": (shape, "float16") for tap, shape in shapes.items()}
            | {f"axes.{number}": (2 * (len(band.places),), "float16") for number, band in enumerate(bands)}
            | {
                "peaks": ((len(shapes),), "float32"),
                "classes": ((values_of(shapes),), "uint8"),
                "step": ((1,), "float32"),
                "frequencies": ((ROWS, SYMBOLS), "uint16"),
                "thresholds": ((CLASSES,), "float32"),
                "roundings": ((CLASSES,), "float32"),
                "centroids": ((CLASSES, EXACT), "float32"),
            }
        )

    @property
    def longest_body(self) -> int:
        """What the parameter leaves once the seal is taken off."""
        return int(self._parameter or 0) - SEAL_BYTES

    def pack(self, maps: PictureMaps) -> bytes:
        """See `SealedFeatureCodec.pack`."""
        return self._coder.encode(self._transform(maps))

    def unpack(self, body: bytes) -> PictureMaps:
        """See `SealedFeatureCodec.unpack`."""
        try:
            coefficients = self._coder.decode(body)
        except ValueError as error:
            raise self.unreadable(str(error)) from error
        maps = self._spectrum.backward(self._decorrelation.backward(coefficients))
        return {tap: array + self._means[tap] for tap, array in maps.items()}


def _spectrum_of(shapes: Shapes) -> Spectrum:
    """The transform for these shapes.

    Raises:
        MisconfiguredError: There are so many taps that their bands cannot be numbered.
    """
    if len(shapes) <= _MOST_TAPS:
        spectrum = Spectrum(shapes)
        if len(spectrum.bands) <= _MOST_BANDS:
            return spectrum
    raise MisconfiguredError(
        f"{len(shapes)} taps are too many to be coded together",
        where=f"codec {ResidualCodec.family}",
        remedy="choose fewer taps",
    )


def _learn_coefficients(
    maps: FeatureMaps, advance: Callable[[], None]
) -> tuple[dict[str, NDArray[Any]], Floats, NDArray[np.float64]]:
    """Means and axes, and with them the coefficients `(N, size)` of the pictures and how large each usually is."""
    tensors, shapes = _learn_means(maps), {tap: array.shape[1:] for tap, array in maps.items()}
    means, spectrum, count = _means(shapes, tensors), Spectrum(shapes), len(next(iter(maps.values())))
    coefficients = spectrum.forward({tap: array - means[tap] for tap, array in maps.items()})
    # The means are those of these very pictures; another one departs from them by that much more.
    coefficients *= np.float32(np.sqrt((count + 1) / (count - 1)))
    advance()
    axes = [axis.astype(np.float16) for axis in principal_axes(spectrum.bands, coefficients)]
    turned = Decorrelation(spectrum.bands, [axis.astype(np.float32) for axis in axes]).forward(coefficients)
    advance()
    tensors |= {f"axes.{number}": axis for number, axis in enumerate(axes)}
    return tensors, turned, usual_sizes(spectrum.bands, turned)


def _learn_means(maps: FeatureMaps) -> dict[str, NDArray[Any]]:
    """The mean of every channel at every place, as shares of each tap's largest."""
    means = {tap: array.mean(axis=0, dtype=np.float64) for tap, array in maps.items()}
    peaks = {tap: float(np.abs(mean).max()) or 1.0 for tap, mean in means.items()}
    tensors: dict[str, NDArray[Any]] = {
        f"mean.{tap}": (mean / peaks[tap]).astype(np.float16) for tap, mean in means.items()
    }
    return tensors | {"peaks": np.array(list(peaks.values()), np.float32)}


def _means(shapes: Shapes, tensors: Mapping[str, NDArray[Any]]) -> FeatureMaps:
    return {
        tap: tensors[f"mean.{tap}"].astype(np.float32) * peak
        for tap, peak in zip(shapes, tensors["peaks"], strict=True)
    }


def _check_ranges(tensors: Mapping[str, NDArray[Any]]) -> None:
    """Make sure that the numbers in tensors of the right form are such that both halves work.

    Raises:
        MisconfiguredError: They are not.
    """
    frequencies = tensors["frequencies"]
    coded = (frequencies[:COMMON, :VALUE_SYMBOLS], frequencies[COMMON:NOTHING, :MASKS], frequencies[NOTHING:, :1])
    good = {
        "frequencies": all(part.min() >= 1 and (part.sum(axis=1, dtype=int) == WHOLE).all() for part in coded),
        "classes": tensors["classes"].max() < CLASSES,
        "step": tensors["step"][0] > 0,
        "thresholds": tensors["thresholds"].min() > 0,
    }
    for key, passed in good.items():
        if not passed:
            raise wrong_tensor(ResidualCodec.family, f"tensor {key} holds numbers that cannot be used")
