"""An image codec in a distribution of its own: `zlib:LEVEL`, the pixels' bytes deflated.

Install it beside patchline at the edge nodes and at the service, and name it like any other codec:

    pip install ./examples/plugin_codec
    patchline commission --codec zlib:6 ...

The entry point in `pyproject.toml` makes patchline find it. `patchline.vision.codecs.image.protocol.ImageCodec` says
what a codec promises, above all that no payload makes `decode` allocate more than the picture it expects.
"""

import zlib
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from patchline.vision.codecs.image.protocol import Pixels, checked_pixels
from patchline.wire.errors import MisconfiguredError, UnreadableError


@dataclass(frozen=True)
class ZlibCodec:
    """Pixels deflated, without loss.

    Attributes:
        level: 1 (fastest) to 9 (smallest).
    """

    level: int

    family: ClassVar[str] = "zlib"
    usage: ClassVar[str] = "zlib:LEVEL (1 to 9)"
    examples: ClassVar[tuple[str, ...]] = ("zlib:1", "zlib:9")

    @classmethod
    def parse(cls, parameter: str | None) -> Self:
        """The codec of one level."""
        if parameter is None or parameter not in set("123456789"):
            raise MisconfiguredError(
                f"{parameter!r} is not a level of the codec zlib", where="codec", remedy=f"write {cls.usage}"
            )
        return cls(int(parameter))

    @property
    def name(self) -> str:
        """Such as `zlib:6`."""
        return f"{self.family}:{self.level}"

    def encode(self, pixels: Pixels) -> bytes:
        """A picture as payload."""
        return zlib.compress(checked_pixels(pixels, self.name).tobytes(), self.level)

    def decode(self, payload: bytes, size: tuple[int, int]) -> Pixels:
        """The picture in a payload; never more is inflated than it has bytes."""
        expected = size[0] * size[1] * 3
        inflater = zlib.decompressobj()
        try:
            raw = inflater.decompress(payload, expected + 1)
        except zlib.error as error:
            raise UnreadableError(f"the payload is damaged: {error}", code="picture") from error
        if len(raw) != expected or not inflater.eof or inflater.unused_data:
            raise UnreadableError(f"the payload does not hold {size[1]}x{size[0]} pixels", code="size")
        return np.frombuffer(raw, dtype=np.uint8).reshape(*size, 3).copy()
