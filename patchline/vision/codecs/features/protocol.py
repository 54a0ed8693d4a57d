"""What every feature codec promises: both halves of one way to send a backbone's feature maps.

An image codec needs nothing but its name. A feature codec is born fitted on the feature maps of normal training
pictures, and what it learnt (codebooks, kept indices, ranges, layers) is its tensors: one asset file that both the
edge and the service read. `encode` and `decode` are numpy only; a `fit` may import more.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, Self, TypeAlias

from numpy.typing import NDArray

from patchline.vision.pixels.arrays import FeatureMaps, Progress

Shapes: TypeAlias = dict[str, tuple[int, int, int]]
"""Tap name -> `(C, h, w)`, in the order of the taps: the form of the feature maps of one picture."""


class FeatureCodec(Protocol):
    """A fitted feature codec. The same feature maps always become the same bytes.

    Attributes:
        family: Key of the registry.
        usage: How the name is written, for error messages, such as `opq:BYTES (1 to 64 a patch)`.
        examples: Full names, with at least two values of each parameter.
        refused: Texts behind the colon that are no parameter of the family (None without a colon).
    """

    family: ClassVar[str]
    usage: ClassVar[str]
    examples: ClassVar[tuple[str, ...]]
    refused: ClassVar[tuple[str | None, ...]]

    @classmethod
    def check(cls, parameter: str | None) -> None:
        """Make sure a name's text behind the colon (None without a colon) is one this family takes, as it is written.

        Raises:
            MisconfiguredError: It is not; the remedy says how names of this family are written.
        """
        ...

    @classmethod
    def fit(cls, parameter: str | None, maps: FeatureMaps, *, seed: int, on_progress: Progress | None = None) -> Self:
        """Learn from normal training pictures.

        Args:
            parameter: The text behind the colon of the codec's name.
            maps: Feature maps of all of them, `(N, C, h, w)` a tap; not changed.
            seed: Of everything random; the same seed gives the same tensors, byte for byte.
            on_progress: Called with steps done and steps in all.

        Raises:
            MisconfiguredError: The parameter is not of this family, the pictures are too few for it, or an extra is
                missing.
        """
        ...

    @classmethod
    def restore(cls, parameter: str | None, shapes: Shapes, tensors: Mapping[str, NDArray[Any]]) -> Self:
        """The codec that had these `shapes` and `tensors`.

        Raises:
            MisconfiguredError: The parameter is not of this family, or a tensor is missing, unknown, or of the wrong
                shape or kind.
        """
        ...

    @property
    def name(self) -> str:
        """The full name, `family` or `family:parameter`."""
        ...

    @property
    def shapes(self) -> Shapes:
        """The form of the feature maps it takes and gives."""
        ...

    def tensors(self) -> dict[str, NDArray[Any]]:
        """What was learnt, for the asset; empty where there is nothing to learn."""
        ...

    def encode(self, maps: FeatureMaps) -> bytes:
        """The feature maps of one picture, `(1, C, h, w)` a tap, as payload; they are not changed.

        Raises:
            MisconfiguredError: They are not of this codec's `shapes`.
        """
        ...

    def decode(self, payload: bytes) -> FeatureMaps:
        """The feature maps in a payload, `(1, C, h, w)` float32 a tap, finite, as arrays of their own.

        No payload makes the receiver allocate more than a few times the feature maps it expects, and none is decoded
        that another codec, or the same codec fitted otherwise, has encoded.

        Raises:
            UnreadableError: The payload is damaged, truncated, or foreign.
        """
        ...
