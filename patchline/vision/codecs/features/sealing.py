"""The eight bytes before every feature payload: whose it is, and whether it is whole.

An image format carries a signature of its own; packed codes do not, and any bytes would decode to some feature maps.
So a payload begins with four bytes that name the fitted codec and a CRC-32 of what follows.
"""

import hashlib
import struct
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from patchline.vision.codecs.features.protocol import Shapes
from patchline.wire.errors import UnreadableError

_SEAL = struct.Struct("<4sI")
SEAL_BYTES = _SEAL.size


def identity_of(name: str, shapes: Shapes, tensors: Mapping[str, NDArray[Any]]) -> bytes:
    """Four bytes by which a fitted codec knows its own payloads: a digest of its name, shapes and tensors."""
    digest = hashlib.sha256(name.encode())
    for tap, shape in shapes.items():
        digest.update(f"\0{tap}{shape}".encode())
    for key in sorted(tensors):
        tensor = np.ascontiguousarray(tensors[key])
        digest.update(f"\0{key}{tensor.dtype.str}{tensor.shape}".encode())
        digest.update(tensor.tobytes())
    return digest.digest()[:4]


def seal(identity: bytes, body: bytes) -> bytes:
    """A payload: the codec's identity, the body's CRC-32, the body."""
    return _SEAL.pack(identity, zlib.crc32(body)) + body


def unseal(identity: bytes, payload: bytes, *, codec: str, longest: int) -> bytes:
    """The body of a payload that this codec has encoded and that nothing has changed.

    Args:
        identity: The codec's.
        payload: Bytes from the wire; anything at all.
        codec: Its name, for the error.
        longest: The most bytes a body can have.

    Raises:
        UnreadableError: It is too short or too long, another codec's, or damaged.
    """
    if not SEAL_BYTES <= len(payload) <= SEAL_BYTES + longest:
        raise UnreadableError(f"{len(payload)} bytes cannot be a payload of {codec}", code="size")
    found, checksum = _SEAL.unpack_from(payload)
    if found != identity:
        raise UnreadableError(f"the payload is not of the {codec} commissioned here", code="codec")
    body = payload[SEAL_BYTES:]
    if zlib.crc32(body) != checksum:
        raise UnreadableError(f"the payload of {codec} is damaged: its checksum is wrong", code="features")
    return body
