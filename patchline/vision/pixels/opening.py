"""Bytes of image files as pixels, opened within bounds.

PNG, JPEG, WebP, BMP and TIFF are read. Whatever a file holds becomes `(H, W, 3)` uint8 RGB:

- grey is repeated over the channels, palettes are looked up, CMYK is converted;
- 16-bit grey is scaled by 255/65535 (a 12-bit camera that leaves the upper bits empty stays as dark as it is),
  16-bit colour keeps its upper eight bits;
- transparency is laid over black;
- the EXIF orientation is applied, so a part lies as every viewer shows it.

Files of several pages or frames, and 32-bit or floating-point pixels, are refused: it is unclear which picture or which
brightness is meant.
"""

from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from patchline.vision.pixels.arrays import Pixels
from patchline.wire.errors import UnreadableError

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")
MAX_PIXELS = 25_000_000
"""Of a picture, unless told otherwise: what the cameras of inspection lines have, in 75 MB once decoded."""
_MAX_BYTES_A_PIXEL = 9
"""Uncompressed 16-bit RGBA, the largest kind read here, takes eight."""
_MAX_BYTES_BESIDES = 1 << 20


def read_picture(file: BinaryIO, length: int, *, max_pixels: int = MAX_PIXELS) -> Pixels:
    """The picture in an image file, `(H, W, 3)` uint8 RGB, upright.

    Args:
        file: Its content.
        length: Of the content, in bytes.
        max_pixels: Most pixels that are decoded; the length and the header are checked first.

    Raises:
        UnreadableError: It is no picture, damaged, too large, or of a kind that is refused.
    """
    _check_length(length, max_pixels)
    try:
        with Image.open(file, formats=FORMATS) as image:
            _check_header(image, max_pixels)
            return np.array(_as_rgb(ImageOps.exif_transpose(image)))
    except UnreadableError:
        raise
    except UnidentifiedImageError as error:
        raise UnreadableError(f"not a picture in {', '.join(FORMATS)}", code="picture") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnreadableError(str(error), code="size") from error
    # Pillow's parsers meet hostile bytes with many kinds of exceptions; they mean one thing to the caller.
    except Exception as error:
        raise UnreadableError(f"the picture is damaged: {error}", code="picture") from error


def _check_length(length: int, max_pixels: int) -> None:
    limit = _MAX_BYTES_A_PIXEL * max_pixels + _MAX_BYTES_BESIDES
    if length > limit:
        raise UnreadableError(f"{length} bytes are over the limit of {limit}", code="size")
    if length == 0:
        raise UnreadableError("the file is empty", code="picture")


def _check_header(image: Image.Image, max_pixels: int) -> None:
    if image.width * image.height > max_pixels:
        raise UnreadableError(
            f"{image.width}x{image.height} pixels are over the limit of {max_pixels} pixels; scale it down",
            code="size",
        )
    # A phone's JPEG carries a preview as its second picture (MPO); everywhere else it is unclear which one is meant.
    pictures = getattr(image, "n_frames", 1)
    if pictures > 1 and image.format != "MPO":
        raise UnreadableError(f"the file holds {pictures} pictures, not one", code="picture")
    if image.mode in {"I", "F"}:
        raise UnreadableError("pixels of 32 bits; save the picture with 8 or 16 bits a channel", code="picture")


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        deep = np.asarray(image).astype(np.uint32)
        # In place: another three arrays of a large picture would be more than a small computer has.
        deep *= 255
        deep += 32767
        deep //= 65535
        return Image.fromarray(deep.astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        seen = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", seen.size, (0, 0, 0, 255)), seen).convert("RGB")
    return image.convert("RGB")
