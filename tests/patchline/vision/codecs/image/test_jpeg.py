"""The codec jpeg:QUALITY."""

import io

import numpy as np
import pytest
from PIL import Image

from patchline.vision.codecs.image.jpeg import LONGEST_SIDE, JpegCodec
from patchline.wire.errors import MisconfiguredError, UnreadableError

NOISE = np.random.default_rng(3).integers(0, 255, (40, 60, 3), dtype=np.uint8)


def jpeg(**options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(NOISE).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def test_a_jpeg_of_another_baseline_encoder_is_read() -> None:
    assert JpegCodec(80).decode(jpeg(quality=95, subsampling="4:4:4"), (40, 60)).shape == (40, 60, 3)


def test_a_progressive_jpeg_is_unreadable_for_its_scans_cost_without_bound() -> None:
    with pytest.raises(UnreadableError, match="baseline"):
        JpegCodec(80).decode(jpeg(progressive=True), (40, 60))


def test_a_grey_jpeg_is_unreadable() -> None:
    buffer = io.BytesIO()
    Image.fromarray(NOISE[..., 0]).save(buffer, "JPEG")
    with pytest.raises(UnreadableError, match="in colour"):
        JpegCodec(80).decode(buffer.getvalue(), (40, 60))


def test_a_header_that_promises_a_huge_picture_is_refused_before_decoding() -> None:
    payload = bytearray(JpegCodec(80).encode(NOISE))
    place = payload.index(b"\xff\xc0") + 5
    payload[place : place + 4] = b"\xff\xdc\xff\xdc"
    with pytest.raises(UnreadableError, match="65500x65500") as caught:
        JpegCodec(80).decode(bytes(payload), (40, 60))
    assert caught.value.code == "size"


def test_a_second_header_is_unreadable() -> None:
    payload = JpegCodec(80).encode(NOISE)
    place = payload.index(b"\xff\xc0")
    length = 2 + int.from_bytes(payload[place + 2 : place + 4], "big")
    frame = payload[place : place + length]
    with pytest.raises(UnreadableError, match="one baseline picture"):
        JpegCodec(80).decode(payload[:place] + frame + payload[place:], (40, 60))


@pytest.mark.parametrize("payload", [b"\xff\xd8\xff\xd9", b"\xff\xd8" + b"\xff\xfe\x00\x00" * 50 + b"\xff\xd9"])
def test_a_jpeg_without_a_picture_is_unreadable(payload: bytes) -> None:
    with pytest.raises(UnreadableError, match="no header"):
        JpegCodec(80).decode(payload, (40, 60))


def test_a_side_the_format_cannot_carry_is_refused() -> None:
    with pytest.raises(MisconfiguredError, match="65501x1"):
        JpegCodec(80).encode(np.zeros((1, LONGEST_SIDE + 1, 3), np.uint8))
