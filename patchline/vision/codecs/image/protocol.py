"""What every image codec promises, and the checks they share at their two doors."""

from typing import ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from patchline.wire.errors import MisconfiguredError, UnreadableError

Pixels = NDArray[np.uint8]
"""One picture: `(H, W, 3)`, RGB."""

CHANNELS = 3


class ImageCodec(Protocol):
    """Both halves of one way to send pixels. The same pixels always become the same bytes.

    Attributes:
        family: Key of the registry.
        usage: How the name is written, for error messages, such as `webp:QUALITY (1 to 100)`.
        examples: Full names, with several values of a parameter.
    """

    family: ClassVar[str]
    usage: ClassVar[str]
    examples: ClassVar[tuple[str, ...]]

    @classmethod
    def parse(cls, parameter: str | None) -> Self:
        """The codec for the text behind the colon of its name, or for a name without one.

        Raises:
            MisconfiguredError: The family takes no such parameter.
        """
        ...

    @property
    def name(self) -> str:
        """The full name; `codec_of(codec.name) == codec`."""
        ...

    def encode(self, pixels: Pixels) -> bytes:
        """A picture as payload; the pixels are left as they are and need not be contiguous.

        Raises:
            MisconfiguredError: It is not `(H, W, 3)` uint8, or has a side this codec cannot carry.
        """
        ...

    def decode(self, payload: bytes, size: tuple[int, int]) -> Pixels:
        """The picture in a payload, as an array of its own.

        The payload's own header is held against the expected size before anything is decoded, so no payload can make
        the receiver allocate more than the picture it expects.

        Args:
            payload: Bytes from the wire; anything at all.
            size: The (height, width) the picture must have.

        Raises:
            UnreadableError: The payload is damaged, of another kind, or of another size.
        """
        ...


def checked_pixels(pixels: Pixels, codec: str, *, longest_side: int | None = None) -> Pixels:
    """The same picture, contiguous, once it is known to be one.

    Raises:
        MisconfiguredError: It is not `(H, W, 3)` uint8, is empty, or has a side over `longest_side` pixels.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != CHANNELS or pixels.shape[-1] != CHANNELS or pixels.size == 0:
        raise MisconfiguredError(
            f"a picture of shape {pixels.shape} and type {pixels.dtype} cannot be encoded",
            where=f"codec {codec}",
            remedy="give RGB pixels of shape (height, width, 3) and type uint8",
        )
    if longest_side is not None and max(pixels.shape) > longest_side:
        raise MisconfiguredError(
            f"a picture of {pixels.shape[1]}x{pixels.shape[0]} pixels is over the {longest_side} a side can have",
            where=f"codec {codec}",
            remedy="choose a smaller input size, or the codec png",
        )
    return np.ascontiguousarray(pixels)


def refuse_parameter(family: str, parameter: str | None) -> None:
    """Make sure a codec that takes no parameter was given none.

    Raises:
        MisconfiguredError: It was given one.
    """
    if parameter is not None:
        raise MisconfiguredError(
            f"the codec {family} takes no parameter, not {parameter!r}", where="codec", remedy=f"write {family}"
        )


def check_size(found: tuple[int, int], expected: tuple[int, int]) -> None:
    """Hold the (height, width) a payload's header declares against the expected one.

    Raises:
        UnreadableError: They differ.
    """
    if found != expected:
        raise UnreadableError(
            f"the picture is {found[1]}x{found[0]} pixels, expected {expected[1]}x{expected[0]}", code="size"
        )
