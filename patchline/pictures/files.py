"""Pictures in files, and category folders with their truth."""

import io
import os
import stat
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from patchline.vision.pixels.opening import MAX_PIXELS, read_picture
from patchline.wire.errors import MisconfiguredError, UnavailableError, UnreadableError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})
"""Of the files that `list_pictures` takes for pictures."""

GOOD = "good"
"""The label of normal parts, and the name of the folder they lie in."""


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


def list_pictures(folder: Path, *, recursive: bool = False) -> list[Path]:
    """The pictures in a folder, by name.

    Hidden files are left out, such as the `._x.jpg` that some systems leave beside pictures.

    Raises:
        UnavailableError: The folder cannot be read, or does not exist.
    """
    found: list[Path] = []
    for entry in _entries(folder):
        if entry.is_dir():
            found += list_pictures(Path(entry.path), recursive=True) if recursive else []
        elif Path(entry.name).suffix.lower() in SUFFIXES and entry.is_file():
            found.append(Path(entry.path))
    return found


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
        if isinstance(source, bytes):
            return read_picture(io.BytesIO(source), len(source), max_pixels=max_pixels)
        length = _length_of(source)  # before it is opened: a pipe would wait for its writer
        with source.open("rb") as file:
            return read_picture(file, length, max_pixels=max_pixels)
    except UnreadableError as error:
        raise UnreadableError(f"{name}: {error.reason}", code=error.code) from error
    except FileNotFoundError as error:
        raise UnreadableError(f"{name}: there is no such file", code="picture") from error
    except OSError as error:
        raise UnreadableError(f"{name}: it cannot be read: {error.strerror}", code="picture") from error


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
    try:
        for good in (path / "train" / GOOD, path / GOOD, path):
            train = _samples(good, GOOD)
            if train:
                mvtec = good.parent.name == "train"
                return Category(path.resolve().name, train, _read_test(path) if mvtec else ())
        missing = _what_is_missing(path)
    except UnavailableError as error:
        raise MisconfiguredError(str(error), where=str(path), remedy="check its permissions") from error
    raise MisconfiguredError("no pictures of good parts", where=str(path), remedy=missing)


def _length_of(path: Path) -> int:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableError("not a file", code="picture")
    return status.st_size


def _samples(folder: Path, label: str, masks: Path | None = None) -> tuple[Sample, ...]:
    found = list_pictures(folder) if folder.is_dir() else []
    return tuple(Sample(file, label, _mask_of(file, masks)) for file in found)


def _read_test(path: Path) -> tuple[Sample, ...]:
    folders = _folders(path / "test")
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


def _folders(folder: Path) -> list[Path]:
    return [Path(entry.path) for entry in _entries(folder) if entry.is_dir()] if folder.is_dir() else []


def _entries(folder: Path) -> list["os.DirEntry[str]"]:
    """What is in a folder, by name, without hidden files; kinds are known without a look at each file."""
    try:
        with os.scandir(folder) as entries:
            return sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
    except OSError as error:
        raise UnavailableError(f"the picture folder {folder} cannot be read: {error.strerror}") from error


def _what_is_missing(path: Path) -> str:
    inside = [entry.name for entry in _folders(path) if (entry / "train" / GOOD).is_dir()]
    if inside:
        return f"it holds several categories; name one of them: {', '.join(inside[:8])}"
    return f"put {', '.join(sorted(SUFFIXES))} files into it, into {GOOD}/ or into train/{GOOD}/"
