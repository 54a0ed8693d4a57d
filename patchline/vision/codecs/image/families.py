"""What image codecs share: how names without a parameter and with a quality are written, and decoding by Pillow."""

import io
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from PIL import Image

from patchline.vision.codecs.image.protocol import Pixels, check_size, refuse_parameter
from patchline.vision.pixels.arrays import Size
from patchline.wire.errors import MisconfiguredError, UnreadableError

BEST = 100


@dataclass(frozen=True)
class PlainCodec:
    """An image codec whose name has no parameter."""

    family: ClassVar[str]

    @classmethod
    def parse(cls, parameter: str | None) -> Self:
        """The one codec of the family; see `ImageCodec.parse`."""
        refuse_parameter(cls.family, parameter)
        return cls()

    @property
    def name(self) -> str:
        """The family's."""
        return self.family


@dataclass(frozen=True)
class LossyCodec:
    """An image codec whose only parameter is a quality.

    Attributes:
        quality: 1 (smallest) to 100 (best, still lossy).
    """

    quality: int

    family: ClassVar[str]

    def __post_init__(self) -> None:
        if not 1 <= self.quality <= BEST:
            raise _bad_quality(self.family, str(self.quality))

    @classmethod
    def parse(cls, parameter: str | None) -> Self:
        """The codec of one quality, written in plain decimal digits; see `ImageCodec.parse`."""
        text = parameter or ""
        if not (text.isascii() and text.isdigit()) or text.startswith("0"):
            raise _bad_quality(cls.family, text)
        return cls(int(text[:4]))

    @property
    def name(self) -> str:
        """Such as `webp:80`."""
        return f"{self.family}:{self.quality}"


def decode_picture(payload: bytes, form: str, size: Size) -> Pixels:
    """The picture in bytes of a Pillow format whose header has already been held against `size`.

    Raises:
        UnreadableError: They are damaged, or decode to another size.
    """
    try:
        with Image.open(io.BytesIO(payload), formats=[form]) as picture:
            check_size((picture.height, picture.width), size)
            pixels = np.array(picture.convert("RGB"))
    except UnreadableError:
        raise
    # Pillow's parsers meet hostile bytes with many kinds of exceptions; they mean one thing to the caller.
    except Exception as error:
        raise UnreadableError(f"the {form} is damaged: {error}", code="picture") from error
    check_size(pixels.shape[:2], size)
    return pixels


def _bad_quality(family: str, text: str) -> MisconfiguredError:
    return MisconfiguredError(
        f"{text!r} is not a quality of the codec {family}", where="codec", remedy=f"write {family}:1 to {family}:100"
    )
