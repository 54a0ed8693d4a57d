"""What the lossy image codecs share: how a quality is written, and the last step of decoding."""

import io

import numpy as np
from PIL import Image

from vision.arrays import Size
from vision.codecs.protocol import Pixels, check_size
from wire_contract.errors import MisconfiguredError, UnreadableError

BEST = 100


def read_quality(family: str, parameter: str | None) -> int:
    """A quality written in plain decimal digits.

    Raises:
        MisconfiguredError: It is not one from 1 to 100.
    """
    text = parameter or ""
    if not (text.isascii() and text.isdigit()) or text.startswith("0"):
        raise _bad_quality(family, text)
    quality = int(text[:4])
    check_quality(family, quality)
    return quality


def check_quality(family: str, quality: int) -> None:
    """Make sure that a number is a quality.

    Raises:
        MisconfiguredError: It is not one from 1 to 100.
    """
    if not 1 <= quality <= BEST:
        raise _bad_quality(family, str(quality))


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
