"""The codec `webp:QUALITY`: lossy WebP, the smallest payload that any image viewer still opens."""

import io
import struct
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from patchline.vision.codecs.image.families import LossyCodec, decode_picture
from patchline.vision.codecs.image.protocol import Pixels, check_size, checked_pixels
from patchline.wire.errors import UnreadableError

METHOD = 4
"""libwebp's effort, 0 to 6. Measured on 224x224 photographs of bottles at quality 80: method 4 takes 4.7 ms and gives
3588 B, method 2 takes 2.3 ms for 3720 B, method 6 takes 8.5 ms for 3403 B. The link is what is scarce."""

LONGEST_SIDE = 16383
"""Pixels; the format has 14 bits for a side."""

_HEADER = struct.Struct("<4sI4s4sI3s3sHH")
"""RIFF, length behind it, WEBP, `VP8 `, chunk length, frame tag, start code, width, height (RFC 6386, section 9.1)."""
_SIDE_BITS = 0x3FFF
_GREY = 0x010101
"""Times a level, it is the level in red, green and blue."""


@dataclass(frozen=True)
class WebpCodec(LossyCodec):
    """Pixels as lossy WebP. Damage inside the picture may decode to other pixels: the envelope's sha256 finds it.

    Attributes:
        method: libwebp's effort, 0 to 6; no part of the name, for a decoder needs not know it.
    """

    method: int = METHOD

    family: ClassVar[str] = "webp"
    usage: ClassVar[str] = "webp:QUALITY (1 to 100)"
    examples: ClassVar[tuple[str, ...]] = ("webp:1", "webp:50", "webp:80", "webp:100")

    def encode(self, pixels: Pixels) -> bytes:
        """See `ImageCodec.encode`."""
        return self._encoded(Image.fromarray(checked_pixels(pixels, self.name, longest_side=LONGEST_SIDE)))

    def encode_grey(self, levels: NDArray[np.uint8]) -> bytes:
        """A grey picture, `(H, W)`, contiguous, no side longer than `LONGEST_SIDE`.

        As four bytes a pixel it is what Pillow gives to libwebp, and need not be copied on the way.
        """
        height, width = levels.shape
        colours = levels.astype("<u4")
        colours *= np.uint32(_GREY)
        return self._encoded(Image.frombuffer("RGBX", (width, height), colours, "raw", "RGBX", 0, 1))

    def _encoded(self, image: Image.Image) -> bytes:
        picture = io.BytesIO()
        image.save(picture, "WEBP", quality=self.quality, method=self.method)
        return picture.getvalue()

    def decode(self, payload: bytes, size: tuple[int, int]) -> Pixels:
        """See `ImageCodec.decode`. Only what `encode` writes is read: one lossy frame, no alpha, no animation."""
        check_size(_declared_size(payload), size)
        return decode_picture(payload, "WEBP", size)


def _declared_size(payload: bytes) -> tuple[int, int]:
    if len(payload) < _HEADER.size:
        raise UnreadableError("the payload is not a WebP", code="picture")
    riff, length, webp, chunk, _, _, start, width, height = _HEADER.unpack_from(payload)
    if (riff, webp) != (b"RIFF", b"WEBP"):
        raise UnreadableError("the payload is not a WebP", code="picture")
    if (chunk, start) != (b"VP8 ", b"\x9d\x01\x2a"):
        raise UnreadableError("the WebP is not one plain lossy picture", code="picture")
    if length + 8 != len(payload):
        raise UnreadableError(f"the WebP has {len(payload)} bytes, its header says {length + 8}", code="picture")
    return height & _SIDE_BITS, width & _SIDE_BITS
