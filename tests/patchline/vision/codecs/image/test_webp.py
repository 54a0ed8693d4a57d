"""The codec webp:QUALITY."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from patchline.vision.codecs.image.webp import LONGEST_SIDE, WebpCodec
from patchline.vision.codecs.lookup import codec_of
from patchline.wire.errors import MisconfiguredError, UnreadableError

NOISE = np.random.default_rng(3).integers(0, 255, (40, 60, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    "name", ["webp", "webp:", "webp:0", "webp:101", "webp:-5", "webp:80.5", "webp:080", "webp:80:1"]
)
def test_a_quality_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(MisconfiguredError, match="webp:1 to webp:100"):
        codec_of(name)


def test_an_endless_quality_is_refused_without_converting_it() -> None:
    with pytest.raises(MisconfiguredError):
        codec_of("webp:" + "9" * 100_000)


def test_more_quality_takes_more_bytes() -> None:
    sizes = [len(WebpCodec(quality).encode(NOISE)) for quality in (1, 30, 60, 90, 100)]
    assert sizes == sorted(set(sizes))


def test_a_side_the_format_cannot_carry_is_refused() -> None:
    strip = np.zeros((1, LONGEST_SIDE + 1, 3), np.uint8)
    with pytest.raises(MisconfiguredError, match="16384x1"):
        WebpCodec(80).encode(strip)
    assert WebpCodec(80).decode(WebpCodec(80).encode(strip[:, 1:]), (1, LONGEST_SIDE)).shape == (1, LONGEST_SIDE, 3)


@pytest.mark.parametrize("kind", ["lossless", "alpha", "animated"])
def test_a_webp_that_encode_never_writes_is_unreadable(kind: str) -> None:
    buffer = io.BytesIO()
    image = Image.fromarray(NOISE)
    if kind == "lossless":
        image.save(buffer, "WEBP", lossless=True)
    elif kind == "alpha":
        image.putalpha(128)
        image.save(buffer, "WEBP")
    else:
        image.save(buffer, "WEBP", save_all=True, append_images=[Image.fromarray(255 - NOISE)])
    with pytest.raises(UnreadableError, match="plain lossy"):
        WebpCodec(80).decode(buffer.getvalue(), (40, 60))


def test_a_header_that_promises_a_huge_picture_is_refused_before_decoding() -> None:
    payload = bytearray(WebpCodec(80).encode(NOISE))
    payload[26:30] = struct.pack("<HH", LONGEST_SIDE, LONGEST_SIDE)
    with pytest.raises(UnreadableError, match="16383x16383"):
        WebpCodec(80).decode(bytes(payload), (40, 60))


def test_bytes_behind_the_picture_are_unreadable() -> None:
    with pytest.raises(UnreadableError, match="header says"):
        WebpCodec(80).decode(WebpCodec(80).encode(NOISE) + b"more", (40, 60))
