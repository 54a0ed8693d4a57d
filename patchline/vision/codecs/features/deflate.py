"""The codec `deflate:BITS`: channels decorrelated, rounded to one step, and deflated.

Each tap's channels are turned to their principal directions, and all directions share one step, so that the bits go
where the variance is and the weak directions become runs of zeros (reverse water-filling). Only the Python standard
library is needed for the rest.
"""

import zlib
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from patchline.vision.codecs.features.form import PictureMaps, TensorForms, maps_of, values_of
from patchline.vision.codecs.features.protocol import Shapes
from patchline.vision.codecs.features.sealed_codec import Lesson, SealedFeatureCodec
from patchline.vision.pixels.arrays import Floats
from patchline.wire.errors import MisconfiguredError

_PARAMETERS = {str(bits): bits for bits in range(2, 8)}
_LARGEST_STEP = 127
"""What a byte can say: with 7 bits twice the range of the normal pictures, with fewer more."""

_STRATEGY = zlib.Z_RLE
"""Huffman codes and runs of one byte, no search for longer repeats. Measured on MobileNetV2's features.6 + 13 of bottle
at 5 bits: 11.1 kB in 0.4 ms; zlib's default 11.6 kB in 2.9 ms, LZMA 11.4 kB in 4.5 ms, bzip2 11.1 kB in 5.3 ms."""

_RAW_STREAM = -15
_MEMORY_LEVEL = 9
_EFFORT = 6


class DeflateCodec(SealedFeatureCodec):
    """One step for all principal directions of a tap, a `2^BITS`th of the widest direction's normal range."""

    family: ClassVar[str] = "deflate"
    usage: ClassVar[str] = "deflate:BITS (2 to 7)"
    examples: ClassVar[tuple[str, ...]] = ("deflate:7", "deflate:3")
    refused: ClassVar[tuple[str | None, ...]] = (None, "", "1", "8", "07", "5 ")

    def __init__(self, parameter: str | None, shapes: Shapes, tensors: Mapping[str, NDArray[Any]]) -> None:
        super().__init__(parameter, shapes, tensors)
        # A step of zero belongs to a tap that never changes: everything rounds to its mean.
        self._scales = {tap: max(float(tensors[_step(tap)][0]), 1e-30) for tap in shapes}

    @classmethod
    def check(cls, parameter: str | None) -> None:
        """See `FeatureCodec.check`."""
        if parameter not in _PARAMETERS:
            raise MisconfiguredError(
                f"{parameter!r} is not a number of bits of the codec {cls.family}",
                where="codec",
                remedy=f"write {cls.usage}",
            )

    @classmethod
    def learn(cls, lesson: Lesson) -> dict[str, NDArray[Any]]:
        """Each tap's mean, principal directions and step."""
        learnt: dict[str, NDArray[Any]] = {}
        for tap, array in lesson.maps.items():
            vectors = array.transpose(0, 2, 3, 1).reshape(-1, array.shape[1])
            mean = vectors.mean(axis=0, dtype=np.float64)
            directions = np.linalg.eigh(_covariance(vectors, mean))[1][:, ::-1].astype(np.float32)
            farthest = np.abs((vectors - mean.astype(np.float32)) @ directions).max()
            learnt[_mean(tap)] = mean.astype(np.float32)
            learnt[_directions(tap)] = np.ascontiguousarray(directions)
            learnt[_step(tap)] = np.array([2 * farthest / 2 ** _PARAMETERS[str(lesson.parameter)]], dtype=np.float32)
        return learnt

    @classmethod
    def forms(cls, parameter: str | None, shapes: Shapes) -> TensorForms:  # noqa: ARG003 it changes no shape
        """Mean, directions and step of each tap."""
        forms: TensorForms = {}
        for tap, (channels, _, _) in shapes.items():
            forms[_mean(tap)] = ((channels,), "float32")
            forms[_directions(tap)] = ((channels, channels), "float32")
            forms[_step(tap)] = ((1,), "float32")
        return forms

    @property
    def longest_body(self) -> int:
        """Deflate's own bound for bytes that do not shrink, with much to spare."""
        return values_of(self._shapes) * 2 + 1024

    def pack(self, maps: PictureMaps) -> bytes:
        """See `SealedFeatureCodec.pack`."""
        steps = b"".join(self._steps(tap, array).tobytes() for tap, array in maps.items())
        deflater = zlib.compressobj(_EFFORT, zlib.DEFLATED, _RAW_STREAM, _MEMORY_LEVEL, _STRATEGY)
        return deflater.compress(steps) + deflater.flush()

    def unpack(self, body: bytes) -> PictureMaps:
        """See `SealedFeatureCodec.unpack`; never more is inflated than the maps have values."""
        inflater = zlib.decompressobj(_RAW_STREAM)
        try:
            steps = inflater.decompress(body, values_of(self._shapes) + 1)
        except zlib.error as error:
            raise self.unreadable(str(error)) from error
        if len(steps) != values_of(self._shapes) or not inflater.eof or inflater.unused_data:
            raise self.unreadable(f"it does not hold exactly {values_of(self._shapes)} values")
        maps = maps_of(np.frombuffer(steps, dtype=np.int8), self._shapes)
        for tap, whole in maps.items():
            turned = whole.reshape(len(whole), -1) * np.float32(self._scales[tap])
            values = self._tensors[_directions(tap)] @ turned + self._tensors[_mean(tap)][:, np.newaxis]
            maps[tap] = values.reshape(whole.shape)
        return maps

    def _steps(self, tap: str, array: Floats) -> NDArray[np.int8]:
        """Whole steps along the principal directions, `(C, h * w)`."""
        centred = array.reshape(len(array), -1) - self._tensors[_mean(tap)][:, np.newaxis]
        steps = (self._tensors[_directions(tap)].T @ centred) / np.float32(self._scales[tap])
        finite = np.nan_to_num(np.clip(steps, -_LARGEST_STEP, _LARGEST_STEP), copy=False)
        whole: NDArray[np.int8] = np.rint(finite).astype(np.int8)
        return whole


def _covariance(vectors: Floats, mean: NDArray[np.float64]) -> NDArray[np.float64]:
    centred = (vectors - mean.astype(np.float32)).astype(np.float32)
    covariance: NDArray[np.float64] = (centred.T @ centred).astype(np.float64) / len(vectors)
    return covariance


def _mean(tap: str) -> str:
    return f"mean of {tap}"


def _directions(tap: str) -> str:
    return f"directions of {tap}"


def _step(tap: str) -> str:
    return f"step of {tap}"
