"""The codecs `features` and `float16`: the feature maps as they are, and in half the bytes.

`features` is the paper's "raw features", the yardstick for every other feature codec.
"""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from patchline.vision.codecs.features.form import PictureMaps, maps_of, values_of
from patchline.vision.codecs.features.sealed_codec import SealedFeatureCodec
from patchline.vision.pixels.arrays import Floats

_LARGEST_HALF = float(np.finfo(np.float16).max)


class FeaturesCodec(SealedFeatureCodec):
    """Every value as float32, little-endian, tap after tap: exact."""

    family: ClassVar[str] = "features"
    usage: ClassVar[str] = "features"
    examples: ClassVar[tuple[str, ...]] = ("features",)
    kind: ClassVar[str] = "<f4"

    @property
    def longest_body(self) -> int:
        """The only length there is."""
        return values_of(self._shapes) * np.dtype(self.kind).itemsize

    def pack(self, maps: PictureMaps) -> bytes:
        """See `SealedFeatureCodec.pack`."""
        return b"".join(self.rounded(array).tobytes() for array in maps.values())

    def unpack(self, body: bytes) -> PictureMaps:
        """See `SealedFeatureCodec.unpack`."""
        if len(body) != self.longest_body:
            raise self.unreadable(f"it has {len(body)} bytes, not {self.longest_body}")
        return maps_of(np.frombuffer(body, dtype=self.kind).astype(np.float32), self._shapes)

    def rounded(self, array: Floats) -> NDArray[Any]:
        """The values in the kind of number that is sent."""
        return array.astype(self.kind)


class HalfCodec(FeaturesCodec):
    """Every value as float16: 11 significant bits, a relative error below 0.05 %, nothing above 65504."""

    family: ClassVar[str] = "float16"
    usage: ClassVar[str] = "float16"
    examples: ClassVar[tuple[str, ...]] = ("float16",)
    refused: ClassVar[tuple[str | None, ...]] = ("", "16")
    kind: ClassVar[str] = "<f2"

    def rounded(self, array: Floats) -> NDArray[Any]:
        """The nearest float16; what is over its range becomes its largest number, never infinite."""
        return np.clip(array, -_LARGEST_HALF, _LARGEST_HALF).astype(self.kind)
