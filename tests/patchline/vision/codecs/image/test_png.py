"""The codec png."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from patchline.vision.codecs.image.png import PngCodec
from patchline.wire.errors import UnreadableError

NOISE = np.random.default_rng(3).integers(0, 255, (40, 60, 3), dtype=np.uint8)


def test_any_flipped_bit_is_unreadable() -> None:
    payload = PngCodec().encode(NOISE[:12, :12])
    for place in range(len(payload)):
        damaged = bytearray(payload)
        damaged[place] ^= 0x10
        with pytest.raises(UnreadableError):
            PngCodec().decode(bytes(damaged), (12, 12))


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "1", "I;16"])
def test_a_png_of_another_mode_is_unreadable(mode: str) -> None:
    buffer = io.BytesIO()
    grey = Image.fromarray(NOISE).convert("L")
    (Image.fromarray(NOISE[..., 0].astype(np.uint16)) if mode == "I;16" else grey.convert(mode)).save(buffer, "PNG")
    with pytest.raises(UnreadableError, match="8-bit RGB"):
        PngCodec().decode(buffer.getvalue(), (40, 60))


def test_a_header_that_promises_a_huge_picture_is_refused_before_decoding() -> None:
    payload = bytearray(PngCodec().encode(NOISE))
    payload[16:24] = struct.pack(">II", 100_000, 100_000)
    payload[29:33] = struct.pack(">I", zlib.crc32(payload[12:29]))
    with pytest.raises(UnreadableError, match="100000x100000"):
        PngCodec().decode(bytes(payload), (40, 60))
