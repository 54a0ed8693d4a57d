"""What most feature codecs share: the checks at both doors, the seal, and tensors kept as they were learnt.

A family below this class says how names are written (`check`), what it learns (`learn`, `forms`), and how the feature
maps of one picture become a body and come back (`pack`, `unpack`).
"""

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
)
from patchline.vision.codecs.features.protocol import Shapes
from patchline.vision.codecs.features.sealing import identity_of, seal, unseal
from patchline.vision.pixels.arrays import FeatureMaps, Progress
from patchline.wire.errors import UnreadableError


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
    content_type: ClassVar[str] = "application/vnd.patchline.features"

    def __init__(self, parameter: str | None, shapes: Shapes, tensors: Mapping[str, NDArray[Any]]) -> None:
        self._parameter = parameter
        self._shapes = dict(shapes)
        self._tensors = dict(tensors)
        self._identity = identity_of(self.name, self._shapes, self._tensors)

    @classmethod
    @abstractmethod
    def check(cls, parameter: str | None) -> None:
        """See `FeatureCodec.check`."""

    @classmethod
    @abstractmethod
    def learn(cls, lesson: Lesson) -> dict[str, NDArray[Any]]:
        """The tensors of the codec fitted on a lesson.

        Raises:
            MisconfiguredError: The pictures are too few, or an extra is missing.
        """

    @classmethod
    @abstractmethod
    def forms(cls, parameter: str | None, shapes: Shapes) -> TensorForms:
        """The shape and kind of every tensor that the codec of this parameter has for maps of these shapes.

        Raises:
            MisconfiguredError: The parameter does not go with the shapes.
        """

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
        shapes = shapes_of(maps, cls.family)
        return cls.restore(parameter, shapes, cls.learn(Lesson(parameter, maps, seed, on_progress)))

    @classmethod
    def restore(cls, parameter: str | None, shapes: Shapes, tensors: Mapping[str, NDArray[Any]]) -> Self:
        """See `FeatureCodec.restore`."""
        cls.check(parameter)
        check_shapes(shapes, cls.family)
        check_tensors(tensors, cls.forms(parameter, shapes), cls.family)
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
            return seal(self._identity, self.pack(checked_maps(maps, self._shapes, self.name)))

    def decode(self, payload: bytes) -> FeatureMaps:
        """See `FeatureCodec.decode`."""
        body = unseal(self._identity, payload, codec=self.name, longest=self.longest_body)
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused below
            maps = self.unpack(body)
        if not all(np.isfinite(array).all() for array in maps.values()):
            raise self.unreadable("a value in it is not finite")
        return {tap: array[np.newaxis] for tap, array in maps.items()}

    def unreadable(self, why: str) -> UnreadableError:
        """The error for a body that is not one of this codec."""
        return UnreadableError(f"the payload of {self.name} cannot be decoded: {why}", code="features")
