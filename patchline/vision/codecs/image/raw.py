"""The codec `raw`: the pixels' own bytes, row by row, RGB. The yardstick for every other codec."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from patchline.vision.codecs.image.families import PlainCodec
from patchline.vision.codecs.image.protocol import CHANNELS, Pixels, checked_pixels
from patchline.wire.errors import UnreadableError


@dataclass(frozen=True)
class RawCodec(PlainCodec):
    """Pixels as they are, height x width x 3 bytes. Damage inside them shows only in the envelope's sha256."""

    family: ClassVar[str] = "raw"
    usage: ClassVar[str] = "raw"
    examples: ClassVar[tuple[str, ...]] = ("raw",)

    def encode(self, pixels: Pixels) -> bytes:
        """See `ImageCodec.encode`."""
        return checked_pixels(pixels, self.name).tobytes()

    def decode(self, payload: bytes, size: tuple[int, int]) -> Pixels:
        """See `ImageCodec.decode`; the header of raw pixels is their number."""
        expected = size[0] * size[1] * CHANNELS
        if len(payload) != expected:
            raise UnreadableError(
                f"{len(payload)} bytes of raw pixels, expected {expected} for {size[1]}x{size[0]}", code="size"
            )
        return np.frombuffer(payload, dtype=np.uint8).reshape(*size, CHANNELS).copy()
