"""Every decoder of bytes from outside is bounded before it allocates: what is announced is looked at first."""

import functools
import io
import json
import struct
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save

from edge_node.capture.trigger_message import TriggerMessage, read_trigger
from edge_node.control.profile_cache import ProfileCache, read_profile
from patchline.artifacts.artifact import HEADER_KEY, MAX_FILE_BYTES, MAX_HEADER_BYTES, load
from patchline.pictures.files import open_picture
from patchline.vision.codecs import CODECS
from patchline.vision.codecs.features.asset import open_asset
from patchline.wire.errors import MisconfiguredError, UnreadableError
from patchline.wire.messages import (
    MAX_ASSET_CHUNK_BYTES,
    MAX_MESSAGE_BYTES,
    MAX_PROFILE_BYTES,
    AssetChunk,
    AssetReference,
    Command,
    EdgeMessage,
    EdgeStatus,
    MapMessage,
    Profile,
    ProfileCodec,
    Receipt,
    from_json,
    sealed,
    unpack,
)

MOST_BYTES = 24 * 1024 * 1024
"""What refusing anything may take; the least of these bombs would take five times as much."""

DEEP = 100_000
_HUGE = 128
"""Megabytes."""


@pytest.fixture(autouse=True)
def _within_bounds() -> Iterator[None]:
    tracemalloc.start()
    yield
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < MOST_BYTES


MSGPACK_BOMBS = {
    "nested in a field nobody knows": b"\x82\xa1x" + b"\x91" * DEEP + b"\xc0\xa4kind\xa5frame",
    "nested at the top": b"\x91" * DEEP + b"\xc0",
    "an array that claims 4 thousand million": b"\x81\xa1x\xdd\xff\xff\xff\xff",
    "a map that claims 4 thousand million": b"\xdf\xff\xff\xff\xff",
    "4 GiB of bytes claimed": b"\x81\xa7payload\xc6\xff\xff\xff\xff",
    "4 GiB of text claimed": b"\x81\xa1x\xdb\xff\xff\xff\xff",
    "nothing": b"",
}
JSON_BOMBS = {
    "nested arrays": b'{"x":' + b"[" * DEEP,
    "nested objects": b'{"x":' * DEEP,
    "a number of a hundred thousand digits": b'{"x":' + b"9" * DEEP + b"}",
    "an exponent": b'{"x":1e999999999}',
}


@pytest.mark.parametrize("bomb", MSGPACK_BOMBS.values(), ids=MSGPACK_BOMBS.keys())
@pytest.mark.parametrize("kind", [EdgeMessage, MapMessage, Profile, AssetChunk], ids=str)
def test_a_msgpack_bomb_is_unreadable(kind: Any, bomb: bytes) -> None:
    with pytest.raises(UnreadableError):
        unpack(bomb, kind)


@pytest.mark.parametrize("bomb", JSON_BOMBS.values(), ids=JSON_BOMBS.keys())
@pytest.mark.parametrize("kind", [Receipt, Command, EdgeStatus], ids=str)
def test_a_json_bomb_is_unreadable(kind: Any, bomb: bytes) -> None:
    with pytest.raises(UnreadableError):
        from_json(bomb, kind)


@pytest.mark.parametrize("bomb", [b'{"x":' + b"[" * 4000, b'{"x":' * 600, b"x" * 5000, b"\xff\xfe"])
def test_a_trigger_that_is_a_bomb_is_a_part_without_an_id(bomb: bytes) -> None:
    message, fault = read_trigger(bomb)
    assert message == TriggerMessage()
    assert fault


def test_what_is_too_long_is_not_looked_into() -> None:
    for read in (
        lambda: unpack(memoryview(bytes(MAX_MESSAGE_BYTES + 1)), EdgeMessage),
        lambda: read_profile(b"\x80" * (MAX_PROFILE_BYTES + 1), "a/b/c"),
        lambda: from_json(b" " * (256 * 1024 + 1), Command),
    ):
        with pytest.raises(UnreadableError) as caught:
            read()
        assert caught.value.code == "size"


def test_a_chunk_or_a_profile_with_too_much_in_it_is_unreadable() -> None:
    chunk = {"sha256": "a" * 64, "size": 1, "offset": 0, "data": bytes(MAX_ASSET_CHUNK_BYTES + 1)}
    profile_codec = {"codec": "png", "artifact": "a" * 64}
    profile = {"station": "a/b/c", "input_size": [32, 32], "ladder": [profile_codec] * 33}
    for content, kind in ((chunk, AssetChunk), (profile, Profile), ({**profile, "ladder": []}, Profile)):
        with pytest.raises(UnreadableError):
            unpack(msgspec.msgpack.encode(content), kind)


def test_an_asset_that_is_announced_too_large_is_never_asked_for(tmp_path: Path) -> None:
    asset = AssetReference(name="codebook", sha256="b" * 64, size=2**62)
    profile_codec = ProfileCodec(codec="png", artifact="a" * 64, assets=(asset,))
    cache = ProfileCache(tmp_path, "a/b/c", max_asset_bytes=1024)
    with pytest.raises(UnreadableError, match="over the limit"):
        cache.offer(sealed(Profile(station="a/b/c", input_size=(32, 32), ladder=(profile_codec,))))
    assert cache.missing == ()


def png(width: int, height: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of any promises."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        len(body).to_bytes(4, "big") + name + body + zlib.crc32(name + body).to_bytes(4, "big") for name, body in parts
    )


@functools.cache
def deflated(megabytes: int) -> bytes:
    packer = zlib.compressobj(1)
    return b"".join([*(packer.compress(bytes(1 << 20)) for _ in range(megabytes)), packer.flush()])


PICTURE_BOMBS: dict[str, Callable[[], bytes]] = {
    "PNG of 3.6 thousand million pixels": lambda: png(60_000, 60_000, (b"IDAT", deflated(1))),
    "PNG whose rows never end": lambda: png(64, 64, (b"IDAT", deflated(_HUGE))),
    "PNG with 128 MB of text": lambda: png(64, 64, (b"zTXt", b"k\0\0" + deflated(_HUGE)), (b"IDAT", deflated(1))),
    "PNG with 128 MB of colour profile": lambda: png(64, 64, (b"iCCP", b"k\0\0" + deflated(_HUGE))),
    "WebP of 268 million pixels": lambda: b"RIFF\x16\0\0\0WEBPVP8 \x0a\0\0\0\x10\0\0\x9d\x01\x2a\xff\x3f\xff\x3f",
    "JPEG of 4 thousand million pixels": lambda: (
        b"\xff\xd8\xff\xc0\0\x11\x08\xff\xff\xff\xff\x03\x01\x11\0\x02\x11\0\x03\x11\0"
    ),
}


@pytest.mark.parametrize("bomb", PICTURE_BOMBS.values(), ids=PICTURE_BOMBS.keys())
def test_a_picture_bomb_is_refused_by_its_header_or_decoded_within_its_size(bomb: Callable[[], bytes]) -> None:
    payload = bomb()
    assert len(payload) < 2 * 1024 * 1024
    decoders: list[Callable[[bytes], Any]] = [open_picture, *(functools.partial(decoded, name) for name in CODECS)]
    for decode in decoders:
        try:
            pixels = decode(payload)
        except UnreadableError:
            continue
        assert pixels.shape == (64, 64, 3)


def decoded(family: str, payload: bytes) -> Any:
    return codec(family).decode(payload, (64, 64))


def codec(family: str) -> Any:
    for parameter in (None, "80"):
        try:
            return CODECS[family].parse(parameter)
        except MisconfiguredError:
            continue
    raise AssertionError(family)


def test_a_picture_over_the_limit_is_refused_though_pillow_would_only_warn() -> None:
    file = io.BytesIO()
    Image.fromarray(np.zeros((1, 20_000), np.uint8)).save(file, "PNG")
    with pytest.raises(UnreadableError, match="over the limit of 10000 pixels"):
        open_picture(file.getvalue(), max_pixels=10_000)


def tensor_file(header: dict[str, Any] | bytes, body: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


TENSOR_BOMBS = {
    "a header of 2^63 bytes": (2**63).to_bytes(8, "little"),
    "a header of 99 MB": (99_000_000).to_bytes(8, "little") + b" " * 100,
    "a tensor beyond the file": tensor_file({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}),
    "a tensor that claims more than it has": tensor_file(
        {"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 4]}}, b"abcd"
    ),
    "a header nested deeply": tensor_file(b'{"a":' * 100_000),
    "metadata nested deeply": save(
        {"a": np.zeros(1, np.float32)}, metadata={HEADER_KEY: '{"parameters":' + "[" * 50_000}
    ),
    "seven bytes": b"\1\0\0\0\0\0\0",
}


@pytest.mark.parametrize("bomb", TENSOR_BOMBS.values(), ids=TENSOR_BOMBS.keys())
def test_an_artifact_or_a_codecs_file_that_is_a_bomb_is_refused(tmp_path: Path, bomb: bytes) -> None:
    path = tmp_path / "bomb.safetensors"
    path.write_bytes(bomb)
    with pytest.raises(MisconfiguredError):
        load(path)
    with pytest.raises(MisconfiguredError):
        open_asset(bomb)


def test_an_artifact_too_large_to_be_one_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.safetensors"
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(MisconfiguredError, match="larger than"):
        load(path)
    assert MAX_HEADER_BYTES < MAX_FILE_BYTES
