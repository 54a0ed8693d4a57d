"""The codec avif:QUALITY."""

import io

import numpy as np
import pytest
from PIL import Image, features

from patchline.vision.codecs.image.avif import AvifCodec
from patchline.vision.codecs.lookup import codec_of
from patchline.wire.errors import MisconfiguredError, UnreadableError

NOISE = np.random.default_rng(3).integers(0, 255, (48, 64, 3), dtype=np.uint8)
SEQUENCE_HEADER = b"\x0a\x09"
"""The kind and length of the unit that tells a decoder how much memory to take."""


@pytest.fixture(name="payload")
def an_avif() -> bytes:
    payload = AvifCodec(60).encode(NOISE)
    assert payload.count(SEQUENCE_HEADER) == 1
    return payload


def avif(**options: object) -> bytes:
    buffer = io.BytesIO()
    picture = Image.fromarray(NOISE)
    if options.pop("alpha", False):
        picture.putalpha(128)
    picture.save(buffer, "AVIF", max_threads=1, **options)
    return buffer.getvalue()


def test_what_the_stream_itself_asks_for_is_held_against_the_expected_size(payload: bytes) -> None:
    place = payload.index(SEQUENCE_HEADER) + 2
    bits = list("".join(f"{byte:08b}" for byte in payload[place : place + 9]))
    assert "".join(bits[10:30]) == "0101" + "0101" + "111111" + "101111"
    bits[10:18] = "11111111"
    forged = int("".join(bits), 2).to_bytes(9, "big")
    with pytest.raises(UnreadableError) as caught:
        AvifCodec(60).decode(payload[:place] + forged + payload[place + 9 :], (48, 64))
    assert caught.value.code == "size"


def test_a_box_that_says_another_size_than_the_stream_is_unreadable(payload: bytes) -> None:
    place = payload.index(b"ispe") + 8
    forged = payload[:place] + (16384).to_bytes(4, "big") * 2 + payload[place + 8 :]
    with pytest.raises(UnreadableError):
        AvifCodec(60).decode(forged, (48, 64))
    with pytest.raises(UnreadableError):
        AvifCodec(60).decode(forged, (16384, 16384))


@pytest.mark.parametrize("options", [{"alpha": True}, {"save_all": True, "append_images": [Image.fromarray(~NOISE)]}])
def test_an_avif_that_encode_never_writes_is_unreadable(options: dict[str, object]) -> None:
    with pytest.raises(UnreadableError, match=r"not an AVIF|not one plain still picture"):
        AvifCodec(60).decode(avif(**options), (48, 64))


def test_a_second_sequence_header_is_unreadable(payload: bytes) -> None:
    stream = payload.index(b"mdat") + 4
    header = payload[payload.index(SEQUENCE_HEADER) : payload.index(SEQUENCE_HEADER) + 11]
    longer = payload[:stream] + header + payload[stream:]
    length = len(payload) - stream + len(header)
    for name, place in (("mdat", stream - 8), ("iloc", payload.index(b"iloc") + 22)):
        size = length + 8 if name == "mdat" else length
        longer = longer[:place] + size.to_bytes(4, "big") + longer[place + 4 :]
    with pytest.raises(UnreadableError, match="exactly one sequence header"):
        AvifCodec(60).decode(longer, (48, 64))


def test_a_picture_that_is_not_all_of_the_data_is_unreadable(payload: bytes) -> None:
    place = payload.index(b"iloc") + 21
    forged = payload[:place] + bytes([payload[place] + 1]) + payload[place + 1 :]
    with pytest.raises(UnreadableError, match="not all of its data"):
        AvifCodec(60).decode(forged, (48, 64))


def test_a_pillow_without_avif_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "check", lambda name: name != "avif")
    with pytest.raises(MisconfiguredError, match=r"11\.3"):
        codec_of("avif:60")
