"""The codec `raw`: the pixels' own bytes, row by row, RGB. The yardstick for every other codec."""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from patchline.vision.codecs.image.protocol import CHANNELS, Pixels, checked_pixels, refuse_parameter
from patchline.wire.errors import UnreadableError


@dataclass(frozen=True)
class RawCodec:
    """Pixels as they are, height x width x 3 bytes. Damage inside them shows only in the envelope's sha256."""

    family: ClassVar[str] = "raw"
    usage: ClassVar[str] = "raw"
    content_type: ClassVar[str] = "application/octet-stream"
    lossless: ClassVar[bool] = True

    @classmethod
    def parse(cls, parameter: str | None) -> Self:
        """The one raw codec; see `ImageCodec.parse`."""
        refuse_parameter(cls.family, parameter)
        return cls()

    @property
    def name(self) -> str:
        """`raw`."""
        return self.family

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
