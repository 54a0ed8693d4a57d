"""A fitted feature codec as one file: what the edge encodes with and the service decodes with.

A safetensors file of the codec's tensors with one JSON header in its metadata. The same fitted codec always becomes
the same bytes, so that the file's sha256 is its identity; nothing in it is executable.
"""

import struct
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from patchline.vision.codecs.features.protocol import FeatureCodec
from patchline.vision.codecs.lookup import feature_codec_class
from patchline.vision.pixels.arrays import Size
from patchline.wire.errors import MisconfiguredError

FORMAT = 1
HEADER_KEY = "patchline.codec"
MAX_ASSET_BYTES = 64 * 1024**2
MAX_HEADER_BYTES = 1024 * 1024

_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
_Side = Annotated[int, msgspec.Meta(ge=1, le=65536)]


class _Tap(msgspec.Struct, frozen=True):
    name: _Text
    shape: tuple[_Side, _Side, _Side]


class _Header(msgspec.Struct, frozen=True, kw_only=True):
    format: int = FORMAT
    codec: _Text
    backbone: _Text
    backbone_sha256: _Text
    taps: Annotated[tuple[_Tap, ...], msgspec.Meta(min_length=1, max_length=64)]
    input_size: tuple[_Side, _Side]


@dataclass(frozen=True, slots=True)
class CodecAsset:
    """A fitted feature codec, and what it was fitted to.

    Attributes:
        name: The codec's full name.
        backbone: Name of the backbone whose feature maps it carries.
        backbone_sha256: Of that backbone's weights.
        taps: In the order in which the backbone is asked for them.
        input_size: Height and width of the pictures the backbone is given.
        codec: The codec.
    """

    name: str
    backbone: str
    backbone_sha256: str
    taps: tuple[str, ...]
    input_size: Size
    codec: FeatureCodec


def pack_asset(codec: FeatureCodec, backbone_name: str, backbone_sha256: str, input_size: Size) -> bytes:
    """The asset file of a fitted codec.

    Raises:
        MisconfiguredError: It would be over `MAX_ASSET_BYTES`.
    """
    header = _Header(
        codec=codec.name,
        backbone=backbone_name,
        backbone_sha256=backbone_sha256,
        taps=tuple(_Tap(tap, shape) for tap, shape in codec.shapes.items()),
        input_size=input_size,
    )
    tensors = {key: np.ascontiguousarray(tensor) for key, tensor in codec.tensors().items()}
    content: bytes = save_tensors(tensors, metadata={HEADER_KEY: msgspec.json.encode(header).decode()})
    if len(content) > MAX_ASSET_BYTES:
        raise MisconfiguredError(
            f"the fitted codec takes {len(content)} bytes, more than {MAX_ASSET_BYTES}",
            where=f"codec {codec.name}",
            remedy="choose fewer bits, fewer taps, or a smaller input size",
        )
    return content


def open_asset(content: bytes) -> CodecAsset:
    """The fitted codec in an asset file.

    Raises:
        MisconfiguredError: The bytes are not an asset, too many, damaged, of another format, or of an unknown codec.
    """
    if len(content) > MAX_ASSET_BYTES:
        raise _refused(f"{len(content)} bytes are more than a fitted codec takes, {MAX_ASSET_BYTES}")
    if int.from_bytes(content[:8], "little") > MAX_HEADER_BYTES:
        raise _refused("its header is too long, or it is no asset")
    try:
        tensors = load_tensors(content)
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _refused(f"the file is damaged: {error}") from error
    header = _header_of(content)
    kind, parameter = feature_codec_class(header.codec)
    codec = kind.restore(parameter, {tap.name: tap.shape for tap in header.taps}, tensors)
    taps = tuple(codec.shapes)
    return CodecAsset(header.codec, header.backbone, header.backbone_sha256, taps, header.input_size, codec)


def _header_of(content: bytes) -> _Header:
    # The safetensors library gives metadata only of files it opens itself; these bytes are already in memory.
    (length,) = struct.unpack_from("<Q", content)
    try:
        metadata = msgspec.json.decode(content[8 : 8 + length], type=dict[str, Any]).get("__metadata__", {})
        if HEADER_KEY not in metadata:
            raise _refused("it is a safetensors file, but not a codec of patchline")
        header = msgspec.json.decode(metadata[HEADER_KEY], type=_Header)
    except msgspec.MsgspecError as error:
        raise _refused(f"its header cannot be read: {error}") from error
    if header.format != FORMAT:
        raise _refused(f"it has format {header.format}, this version reads {FORMAT}")
    if len({tap.name for tap in header.taps}) != len(header.taps):
        raise _refused("its header names a tap twice")
    return header


def _refused(what: str) -> MisconfiguredError:
    return MisconfiguredError(
        what, where="asset of a feature codec", remedy="restore the file, or commission the station again"
    )
