"""The codec `int8`: every value as one of 256 steps of its channel's range."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from patchline.vision.codecs.features.form import PictureMaps, TensorForms, maps_of, values_of
from patchline.vision.codecs.features.protocol import Shapes
from patchline.vision.codecs.features.sealed_codec import Lesson, SealedFeatureCodec
from patchline.vision.pixels.arrays import Floats

MARGIN = 0.25
"""By how much of its width a range goes beyond the normal pictures at either end: a defect may be stronger than all of
them, and what is clipped is no longer seen. Measured with MobileNetV2's features.6 + 13 on the defective pictures of
bottle: 0.02 to 0.05 % of the values lie outside the training range itself, under 0.001 % outside the widened one."""

_STEPS = 255


class Int8Codec(SealedFeatureCodec):
    """One byte a value, each channel on a scale of its own; an error of at most 0.3 % of the normal range's width."""

    family: ClassVar[str] = "int8"
    usage: ClassVar[str] = "int8"
    examples: ClassVar[tuple[str, ...]] = ("int8",)
    refused: ClassVar[tuple[str | None, ...]] = ("", "8")

    @classmethod
    def learn(cls, lesson: Lesson) -> dict[str, NDArray[Any]]:
        """Each channel's lowest value and step."""
        learnt: dict[str, NDArray[Any]] = {}
        for tap, array in lesson.maps.items():
            lowest = array.min(axis=(0, 2, 3)).astype(np.float64)
            width = array.max(axis=(0, 2, 3)) - lowest
            learnt[_lowest(tap)] = (lowest - MARGIN * width).astype(np.float32)
            learnt[_step(tap)] = (width * (1 + 2 * MARGIN) / _STEPS).astype(np.float32)
        return learnt

    @classmethod
    def forms(cls, parameter: str | None, shapes: Shapes) -> TensorForms:  # noqa: ARG003 there is none
        """Two numbers a channel."""
        return {key(tap): ((shape[0],), "float32") for tap, shape in shapes.items() for key in (_lowest, _step)}

    @property
    def longest_body(self) -> int:
        """The only length there is."""
        return values_of(self._shapes)

    def pack(self, maps: PictureMaps) -> bytes:
        """See `SealedFeatureCodec.pack`."""
        return b"".join(self._steps(tap, array).tobytes() for tap, array in maps.items())

    def unpack(self, body: bytes) -> PictureMaps:
        """See `SealedFeatureCodec.unpack`."""
        if len(body) != self.longest_body:
            raise self.unreadable(f"it has {len(body)} bytes, not {self.longest_body}")
        maps = maps_of(np.frombuffer(body, dtype=np.uint8).astype(np.float32), self._shapes)
        for tap, steps in maps.items():
            lowest, step = self._scale(tap)
            maps[tap] = steps * step + lowest
        return maps

    def _steps(self, tap: str, array: Floats) -> NDArray[np.uint8]:
        lowest, step = self._scale(tap)
        steps = (array - lowest) / np.where(step > 0, step, np.float32(1))
        return np.rint(np.clip(steps, 0, _STEPS)).astype(np.uint8)

    def _scale(self, tap: str) -> tuple[Floats, Floats]:
        lowest, step = self._tensors[_lowest(tap)], self._tensors[_step(tap)]
        return lowest[:, np.newaxis, np.newaxis], step[:, np.newaxis, np.newaxis]


def _lowest(tap: str) -> str:
    return f"lowest of {tap}"


def _step(tap: str) -> str:
    return f"step of {tap}"
