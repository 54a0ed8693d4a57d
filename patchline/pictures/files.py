"""Pictures in files: opened within bounds, and category folders with their truth.

PNG, JPEG, WebP, BMP and TIFF are read. Whatever a file holds becomes `(H, W, 3)` uint8 RGB:

- grey is repeated over the channels, palettes are looked up, CMYK is converted;
- 16-bit grey is scaled by 255/65535 (a 12-bit camera that leaves the upper bits empty stays as dark as it is),
  16-bit colour keeps its upper eight bits;
- transparency is laid over black: where nothing is, no light comes from;
- the EXIF orientation is applied, so a part lies as every viewer shows it.

Files of several pages or frames, and 32-bit or floating-point pixels, have no one meaning as a picture: refused.
"""

import io
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from patchline.pictures.labels import GOOD
from patchline.wire.errors import MisconfiguredError, UnreadableError

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})

MAX_PIXELS = 25_000_000
"""Of a picture, unless told otherwise: what the cameras of inspection lines have, in 75 MB once decoded."""
_MAX_BYTES_A_PIXEL = 9
"""Uncompressed 16-bit RGBA, the largest kind read here, takes eight."""
_MAX_BYTES_BESIDES = 1 << 20


@dataclass(frozen=True)
class Sample:
    """A picture with what is known about it.

    Attributes:
        path: The picture.
        label: `good`, or the name of its defect.
        mask_path: Where the defect is drawn white on black; None for good samples and where nobody drew it.
    """

    path: Path
    label: str
    mask_path: Path | None = None


@dataclass(frozen=True)
class Category:
    """The pictures of one kind of part, in an order that depends on their names only."""

    name: str
    train: tuple[Sample, ...]
    test: tuple[Sample, ...]


def open_picture(source: Path | bytes, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """The picture in a file, or in a file's content, as `(H, W, 3)` uint8 RGB, upright.

    Args:
        source: A file, or the content of one.
        max_pixels: Most pixels that are decoded; the header is checked first.

    Raises:
        UnreadableError: The file is missing, no picture, damaged, too large, or of a kind that is refused. The sentence
            begins with the file's path.
    """
    name = "the picture" if isinstance(source, bytes) else str(source)
    try:
        with _bounded(source, max_pixels) as file, Image.open(file, formats=FORMATS) as image:
            _check_header(image, max_pixels)
            return np.array(_as_rgb(ImageOps.exif_transpose(image)))
    except UnreadableError as error:
        raise UnreadableError(f"{name}: {error.reason}", code=error.code) from error
    except FileNotFoundError as error:
        raise UnreadableError(f"{name}: there is no such file", code="picture") from error
    except UnidentifiedImageError as error:
        raise UnreadableError(f"{name}: not a picture in {', '.join(FORMATS)}", code="picture") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnreadableError(f"{name}: {error}", code="size") from error
    # Pillow's parsers meet hostile bytes with many kinds of exceptions; they mean one thing to the caller.
    except Exception as error:
        raise UnreadableError(f"{name}: the picture is damaged: {error}", code="picture") from error


def open_mask(sample: Sample, size: tuple[int, int]) -> NDArray[np.bool_] | None:
    """Which pixels of a sample are defective.

    Args:
        sample: Whose mask.
        size: Height and width the mask is resized to, by nearest neighbour.

    Returns:
        `(H, W)`: all False for a good sample; None if the sample is defective but nobody drew where.

    Raises:
        UnreadableError: The mask's file cannot be read.
    """
    if sample.label == GOOD:
        return np.zeros(size, dtype=np.bool_)
    if sample.mask_path is None:
        return None
    grey = open_picture(sample.mask_path).max(axis=2)
    # Masks are drawn with 255 by some and with 1 by others; JPEG's ripples around black are neither.
    marked = Image.fromarray((grey > grey.max() // 2).astype(np.uint8))
    return np.asarray(marked.resize((size[1], size[0]), Image.Resampling.NEAREST)) > 0


def list_pictures(folder: Path, *, recursive: bool = False) -> list[Path]:
    """The pictures in a folder by name, without hidden files such as the `._x.jpg` that some systems leave beside them.

    Raises:
        OSError: The folder is away or cannot be read.
    """
    found: list[Path] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                found += list_pictures(Path(entry.path), recursive=True) if recursive else []
            elif Path(entry.name).suffix.lower() in SUFFIXES and entry.is_file():
                found.append(Path(entry.path))
    return sorted(found)


def read_category(path: Path) -> Category:
    """The pictures of a category's folder.

    Two layouts are understood. MVTec's has `train/good`, `test/<defect>` and `ground_truth/<defect>/<stem>_mask.png`
    (masks may be missing). A plain folder of good pictures, or one with a folder `good`, is for training only.

    Raises:
        MisconfiguredError: The folder is missing or holds no picture to learn from.
    """
    if not path.is_dir():
        kind = "is not a folder" if path.exists() else "does not exist"
        raise MisconfiguredError(
            f"the picture folder {kind}", where=str(path), remedy="give the folder of one category"
        )
    name = path.resolve().name
    for good in (path / "train" / GOOD, path / GOOD, path):
        train = _samples(good, GOOD)
        if train:
            mvtec = good.parent.name == "train"
            return Category(name, train, _read_test(path) if mvtec else ())
    raise MisconfiguredError("no pictures of good parts", where=str(path), remedy=_what_is_missing(path))


def _bounded(source: Path | bytes, max_pixels: int) -> BinaryIO:
    if isinstance(source, bytes):
        _check_length(len(source), max_pixels)
        return io.BytesIO(source)
    status = source.stat()
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableError("not a file", code="picture")
    _check_length(status.st_size, max_pixels)
    return source.open("rb")


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


def _samples(folder: Path, label: str, masks: Path | None = None) -> tuple[Sample, ...]:
    try:
        found = list_pictures(folder) if folder.is_dir() else []
    except OSError as error:
        raise _unreadable_folder(folder, error) from error
    return tuple(Sample(file, label, _mask_of(file, masks)) for file in found)


def _read_test(path: Path) -> tuple[Sample, ...]:
    folders = sorted(folder for folder in _listing(path / "test") if folder.is_dir())
    return tuple(
        sample
        for folder in folders
        for sample in _samples(
            folder, folder.name, path / "ground_truth" / folder.name if folder.name != GOOD else None
        )
    )


def _mask_of(picture: Path, masks: Path | None) -> Path | None:
    if masks is None:
        return None
    names = (f"{picture.stem}_mask.png", f"{picture.stem}.png")
    return next((masks / name for name in names if (masks / name).is_file()), None)


def _listing(folder: Path) -> list[Path]:
    """What a folder holds, without hidden files such as the `._x.jpg` that some systems leave beside pictures."""
    if not folder.is_dir():
        return []
    try:
        return [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    except OSError as error:
        raise _unreadable_folder(folder, error) from error


def _unreadable_folder(folder: Path, error: OSError) -> MisconfiguredError:
    return MisconfiguredError(
        f"the picture folder cannot be read: {error.strerror}", where=str(folder), remedy="check its permissions"
    )


def _what_is_missing(path: Path) -> str:
    inside = sorted(entry.name for entry in _listing(path) if (entry / "train" / GOOD).is_dir())
    if inside:
        return f"it holds several categories; name one of them: {', '.join(inside[:8])}"
    return f"put {', '.join(sorted(SUFFIXES))} files into it, into {GOOD}/ or into train/{GOOD}/"
