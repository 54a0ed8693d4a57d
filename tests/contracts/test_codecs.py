"""What every registered codec must keep to; a new codec is tested by being registered."""

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from patchline.vision.codecs import CODECS
from patchline.vision.codecs.image.protocol import ImageCodec
from patchline.vision.codecs.lookup import codec_of
from patchline.wire.errors import MisconfiguredError, UnreadableError

NAMES = {family: kind.examples for family, kind in CODECS.items()}
LOSSLESS = {"raw", "png"}
EVERY_NAME = [name for names in NAMES.values() for name in names]
SIZE = (48, 64)

every_codec = pytest.mark.parametrize("codec", [codec_of(name) for name in EVERY_NAME], ids=str)
sides = st.integers(min_value=1, max_value=70)


def picture(size: tuple[int, int] = SIZE, seed: int = 0) -> NDArray[np.uint8]:
    """A shaded picture with some noise: neither flat nor incompressible."""
    rng = np.random.default_rng(seed)
    slope = np.add.outer(np.arange(size[0]), np.arange(size[1]))[..., None] * np.array([1.0, 2.0, 0.5])
    pixels: NDArray[np.uint8] = (slope % 200 + rng.integers(0, 20, (*size, 3))).astype(np.uint8)
    return pixels


def test_every_registered_family_is_in_this_contract() -> None:
    assert all(NAMES.values())


@every_codec
def test_a_codec_is_found_by_its_own_name(codec: ImageCodec) -> None:
    assert codec_of(codec.name) == codec
    assert codec.name.partition(":")[0] == codec.family
    assert CODECS[codec.family] is type(codec)


@every_codec
@settings(max_examples=25, deadline=None)
@given(height=sides, width=sides, seed=st.integers(0, 2**32))
def test_a_picture_comes_back_in_its_shape_and_exactly_if_lossless(
    codec: ImageCodec, height: int, width: int, seed: int
) -> None:
    pixels = picture((height, width), seed)
    decoded = codec.decode(codec.encode(pixels), (height, width))
    assert decoded.shape == pixels.shape
    assert decoded.dtype == np.uint8
    if codec.name in LOSSLESS:
        assert np.array_equal(decoded, pixels)


@every_codec
def test_a_good_codec_keeps_the_picture_recognisable(codec: ImageCodec) -> None:
    smooth = np.broadcast_to(np.linspace(20, 220, 64)[:, None, None], (64, 64, 3)).astype(np.uint8)
    decoded = codec.decode(codec.encode(smooth), (64, 64))
    assert np.abs(decoded.astype(int) - smooth).mean() < 12


@every_codec
def test_the_same_pixels_become_the_same_bytes_whatever_came_before(codec: ImageCodec) -> None:
    alone = codec.encode(picture())
    codec.encode(picture(seed=1))
    assert codec.encode(picture()) == alone
    assert codec_of(codec.name).encode(picture()) == alone
    assert np.array_equal(codec.decode(alone, SIZE), codec.decode(alone, SIZE))


@every_codec
def test_pixels_need_not_be_contiguous_and_are_left_alone(codec: ImageCodec) -> None:
    wide = picture((96, 128))
    view = wide[::2, ::-2]
    before = wide.copy()
    assert codec.encode(view) == codec.encode(view.copy())
    assert np.array_equal(wide, before)
    read_only = picture()
    read_only.flags.writeable = False
    codec.encode(read_only)


@every_codec
def test_decoded_pixels_belong_to_the_caller(codec: ImageCodec) -> None:
    payload = codec.encode(picture())
    first = codec.decode(payload, SIZE)
    first[:] = 0
    assert codec.decode(payload, SIZE).any()
    assert first.flags.c_contiguous


@every_codec
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_a_cut_payload_is_unreadable(codec: ImageCodec, data: st.DataObject) -> None:
    payload = codec.encode(picture())
    with pytest.raises(UnreadableError):
        codec.decode(payload[: data.draw(st.integers(0, len(payload) - 1))], SIZE)


@every_codec
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_damaged_payload_is_unreadable_or_a_picture_of_the_right_shape(
    codec: ImageCodec, data: st.DataObject
) -> None:
    damaged = bytearray(codec.encode(picture()))
    for place in data.draw(st.lists(st.integers(0, len(damaged) - 1), min_size=1, max_size=8)):
        damaged[place] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(UnreadableError):
        assert codec.decode(bytes(damaged), SIZE).shape == (*SIZE, 3)


@every_codec
@settings(max_examples=60, deadline=None)
@given(payload=st.binary(max_size=400))
def test_bytes_of_nobody_are_unreadable(codec: ImageCodec, payload: bytes) -> None:
    with pytest.raises(UnreadableError):
        codec.decode(payload, SIZE)


@every_codec
def test_payloads_of_other_codecs_are_unreadable(codec: ImageCodec) -> None:
    for other in (codec_of(name) for name in EVERY_NAME):
        if other.family != codec.family:
            with pytest.raises(UnreadableError):
                codec.decode(other.encode(picture()), SIZE)


@every_codec
@pytest.mark.parametrize("size", [(47, 64), (48, 65), (1, 1), (4096, 4096)])
def test_a_picture_of_another_size_is_unreadable(codec: ImageCodec, size: tuple[int, int]) -> None:
    with pytest.raises(UnreadableError) as caught:
        codec.decode(codec.encode(picture()), size)
    assert caught.value.code == "size"
    assert f"{size[1]}x{size[0]}" in caught.value.reason


@every_codec
@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((2, 8, 8, 3), np.uint8),
        np.zeros((8, 8, 3), np.float32),
        np.zeros((8, 8, 3), np.uint16),
        np.zeros((0, 8, 3), np.uint8),
    ],
    ids=["grey", "alpha", "batch", "float", "16 bit", "empty"],
)
def test_what_is_not_a_picture_is_refused_with_what_to_give(codec: ImageCodec, pixels: NDArray[np.uint8]) -> None:
    with pytest.raises(MisconfiguredError) as caught:
        codec.encode(pixels)
    assert codec.name in caught.value.where
    assert "(height, width, 3)" in caught.value.remedy


@pytest.mark.parametrize("name", ["", "jpg:80", "WEBP:80", "webp 80", ":80", "gif:1"])
def test_an_unknown_codec_is_answered_with_the_known_ones(name: str) -> None:
    with pytest.raises(MisconfiguredError) as caught:
        codec_of(name)
    assert all(family in caught.value.remedy for family in CODECS)


@pytest.mark.parametrize("family", ["webp", "jpeg", "avif"])
@pytest.mark.parametrize("quality", ["", ":", ":0", ":101", ":080", ":8.5", ":-1", ":\u0668\u0660", ":" + "9" * 10_000])
def test_what_is_no_quality_is_answered_with_how_to_write_one(family: str, quality: str) -> None:
    with pytest.raises(MisconfiguredError) as caught:
        codec_of(family + quality)
    assert caught.value.remedy == f"write {family}:1 to {family}:100"


@pytest.mark.parametrize("family", ["webp", "jpeg", "avif"])
def test_more_quality_takes_more_bytes_and_loses_less(family: str) -> None:
    pixels = picture((96, 96))
    few, many = (codec_of(f"{family}:{quality}") for quality in (20, 90))
    assert len(few.encode(pixels)) < len(many.encode(pixels))
    losses = [np.abs(codec.decode(codec.encode(pixels), (96, 96)) - pixels.astype(int)).mean() for codec in (few, many)]
    assert losses[0] > losses[1]


@pytest.mark.parametrize("name", ["raw:1", "raw:", "png:9", "png:"])
def test_a_parameter_nobody_asked_for_is_refused(name: str) -> None:
    with pytest.raises(MisconfiguredError, match="takes no parameter"):
        codec_of(name)
