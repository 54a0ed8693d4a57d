"""The codec raw."""

import numpy as np

from patchline.vision.codecs.image.raw import RawCodec


def test_the_bytes_are_the_pixels_row_by_row() -> None:
    pixels = np.arange(2 * 4 * 3, dtype=np.uint8).reshape(2, 4, 3)
    assert RawCodec().encode(pixels) == bytes(range(24))
    assert RawCodec().decode(bytes(range(24)), (2, 4))[1, 0].tolist() == [12, 13, 14]
