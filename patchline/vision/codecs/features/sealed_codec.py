"""What most feature codecs share: the checks of what goes in and comes out, the seal, and the limit of values.

An image format has a signature of its own; packed codes have none, and any bytes would decode to some feature maps. So
a payload begins with eight bytes, the seal: four that name the fitted codec and a CRC-32 of the body that follows.

A well-formed payload can hold any number. A codec that was fitted knows the largest value of its training pictures.
`encode` cuts values at `MARGIN` times that, far beyond what a real picture gives, and `decode` refuses what is beyond
`TOLERANCE` times the cut, the room that a lossy codec may need. So no payload makes a detector's distances overflow.

A family below this class says how names are written (`check`), what it learns (`learn`, `forms`), and how the feature
maps of one picture become a body and come back (`pack`, `unpack`).
"""

import hashlib
import struct
import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from patchline.vision.codecs.features.form import (
    PictureMaps,
    TensorForms,
    check_shapes,
    check_tensors,
    checked_maps,
    shapes_of,
    wrong_tensor,
)
from patchline.vision.codecs.features.protocol import Shapes
from patchline.vision.codecs.image.protocol import refuse_parameter
from patchline.vision.pixels.arrays import FeatureMaps, Floats, Progress
from patchline.wire.errors import UnreadableError

_SEAL = struct.Struct("<4sI")
SEAL_BYTES = _SEAL.size
MARGIN, TOLERANCE = 16.0, 4.0
LARGEST = "largest value"
"""The tensor that holds the largest absolute value of the training pictures' feature maps."""


def identity_of(name: str, shapes: Shapes, tensors: Mapping[str, NDArray[Any]]) -> bytes:
    """Four bytes by which a fitted codec knows its own payloads: a digest of its name, shapes and tensors.

    The largest value is left out, since it does not change what a payload means.
    """
    digest = hashlib.sha256(name.encode())
    for tap, shape in shapes.items():
        digest.update(f"\0{tap}{shape}".encode())
    for key in sorted(tensors.keys() - {LARGEST}):
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


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a codec is fitted on.

    Attributes:
        parameter: The text behind the colon of its name, already checked.
        maps: Feature maps of normal training pictures, `(N, C, h, w)` a tap.
        seed: Of everything random.
        on_progress: Called with steps done and steps in all.
    """

    parameter: str | None
    maps: FeatureMaps
    seed: int
    on_progress: Progress | None = None

    @property
    def shapes(self) -> Shapes:
        """The form of the maps of one picture."""
        return {tap: array.shape[1:] for tap, array in self.maps.items()}


class SealedFeatureCodec(ABC):
    """A feature codec whose payload is the seal and a body; see `FeatureCodec` for what it promises."""

    family: ClassVar[str]
    usage: ClassVar[str]
    examples: ClassVar[tuple[str, ...]]
    refused: ClassVar[tuple[str | None, ...]] = ("", "1")

    def __init__(self, parameter: str | None, shapes: Shapes, tensors: Mapping[str, NDArray[Any]]) -> None:
        self._parameter = parameter
        self._shapes = dict(shapes)
        self._tensors = dict(tensors)
        self._identity = identity_of(self.name, self._shapes, self._tensors)
        self._limit = MARGIN * float(tensors[LARGEST][0]) if LARGEST in tensors else np.inf

    @classmethod
    def check(cls, parameter: str | None) -> None:
        """There is no parameter, unless the family has one; see `FeatureCodec.check`."""
        refuse_parameter(cls.family, parameter)

    @classmethod
    def learn(cls, lesson: Lesson) -> dict[str, NDArray[Any]]:  # noqa: ARG003 most families need it
        """The tensors of the codec fitted on a lesson; none by default.

        Raises:
            MisconfiguredError: The pictures are too few, or an extra is missing.
        """
        return {}

    @classmethod
    def forms(cls, parameter: str | None, shapes: Shapes) -> TensorForms:  # noqa: ARG003 most families need them
        """The shape and kind of every tensor that the codec of this parameter has for maps of these shapes.

        Raises:
            MisconfiguredError: The parameter does not go with the shapes.
        """
        return {}

    @property
    @abstractmethod
    def longest_body(self) -> int:
        """The most bytes that `pack` can give."""

    @abstractmethod
    def pack(self, maps: PictureMaps) -> bytes:
        """The body for the feature maps of one picture, finite and of the codec's shapes."""

    @abstractmethod
    def unpack(self, body: bytes) -> PictureMaps:
        """The feature maps in a body of at most `longest_body` bytes, float32, not yet known to be finite.

        Raises:
            UnreadableError: It is not a body.
        """

    @classmethod
    def fit(cls, parameter: str | None, maps: FeatureMaps, *, seed: int, on_progress: Progress | None = None) -> Self:
        """See `FeatureCodec.fit`."""
        cls.check(parameter)
        with np.errstate(over="ignore", invalid="ignore"):  # the check for finite values may overflow
            shapes = shapes_of(maps, cls.family)
        learnt = cls.learn(Lesson(parameter, maps, seed, on_progress))
        largest = max(float(np.abs(array).max()) for array in maps.values())
        return cls.restore(parameter, shapes, learnt | {LARGEST: np.array([largest or 1.0], dtype=np.float32)})

    @classmethod
    def restore(cls, parameter: str | None, shapes: Shapes, tensors: Mapping[str, NDArray[Any]]) -> Self:
        """See `FeatureCodec.restore`."""
        cls.check(parameter)
        check_shapes(shapes, cls.family)
        check_tensors(tensors, cls.forms(parameter, shapes) | {LARGEST: ((1,), "float32")}, cls.family)
        if not tensors[LARGEST][0] > 0:
            raise wrong_tensor(cls.family, f"tensor {LARGEST} is not above 0")
        return cls(parameter, shapes, tensors)

    @property
    def name(self) -> str:
        """See `FeatureCodec.name`."""
        return self.family if self._parameter is None else f"{self.family}:{self._parameter}"

    @property
    def shapes(self) -> Shapes:
        """See `FeatureCodec.shapes`."""
        return dict(self._shapes)

    def tensors(self) -> dict[str, NDArray[Any]]:
        """See `FeatureCodec.tensors`."""
        return dict(self._tensors)

    def encode(self, maps: FeatureMaps) -> bytes:
        """See `FeatureCodec.encode`."""
        with np.errstate(over="ignore", invalid="ignore"):  # a value near float32's end is beyond every scale anyway
            own = checked_maps(maps, self._shapes, self.name)
            return seal(self._identity, self.pack({tap: self._cut(array) for tap, array in own.items()}))

    def decode(self, payload: bytes) -> FeatureMaps:
        """See `FeatureCodec.decode`."""
        body = unseal(self._identity, payload, codec=self.name, longest=self.longest_body)
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused below
            maps = self.unpack(body)
        for array in maps.values():
            if not np.isfinite(array).all():
                raise self.unreadable("a value in it is not finite")
            if float(np.abs(array).max()) > TOLERANCE * self._limit:
                raise self.unreadable("a value in it is far beyond those of normal pictures")
        return {tap: array[np.newaxis] for tap, array in maps.items()}

    def _cut(self, array: Floats) -> Floats:
        """Values beyond the limit are taken for the limit."""
        if -self._limit <= float(array.min()) and float(array.max()) <= self._limit:
            return array
        return np.clip(array, np.float32(-self._limit), np.float32(self._limit))

    def unreadable(self, why: str) -> UnreadableError:
        """The error for a body that is not one of this codec."""
        return UnreadableError(f"the payload of {self.name} cannot be decoded: {why}", code="features")
