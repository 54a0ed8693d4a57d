"""Feature maps of a category, made once a backbone and kept in files, so that every row reads the same ones."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from patchline.pictures.files import Category, Sample, open_picture
from patchline.vision.backbones import BACKBONES
from patchline.vision.backbones.onnx_engine import OnnxEngine
from patchline.vision.backbones.store import find
from patchline.vision.pixels.arrays import FeatureMaps, Pixels, Progress, Size
from patchline.vision.pixels.preprocessing import normalise, resize

BATCH = 8
TRAIN, TEST = "train", "test"


def engine_of(backbone: str, taps: Sequence[str], threads: int) -> OnnxEngine:
    """A backbone cut at its deepest tap.

    Raises:
        MisconfiguredError: Its weights are nowhere.
    """
    stored = find(BACKBONES[backbone], taps)
    return OnnxEngine(stored.read(), taps, threads=threads, where=str(stored.path))


def open_all(samples: Sequence[Sample], size: Size) -> Pixels:
    """Pictures at the input size, `(N, H, W, 3)`."""
    return np.stack([resize(open_picture(sample.path), size) for sample in samples])


def embed(engine: OnnxEngine, category: Category, size: Size, folder: Path, on_progress: Progress) -> float:
    """Write the maps of all pictures into a folder, and the test pictures themselves; the seconds of the normal ones.

    Those count reading, resizing and the backbone, as commissioning does them.
    """
    folder.mkdir()
    total = len(category.train) + len(category.test)
    done, seconds = 0, 0.0
    for part, samples in ((TRAIN, category.train), (TEST, category.test)):
        started = time.perf_counter()
        for start in range(0, len(samples), BATCH):
            batch = open_all(samples[start : start + BATCH], size)
            np.savez(folder / f"{part}-{start:06}.npz", **engine.run(normalise(batch)))  # type: ignore[arg-type]
            done += len(batch)
            on_progress(done, total)
        seconds = time.perf_counter() - started if part == TRAIN else seconds
    np.save(folder / "pictures.npy", open_all(category.test, size))
    return seconds


def maps_of(folder: Path, part: str, taps: Sequence[str]) -> Iterator[FeatureMaps]:
    """The maps of one part, batch by batch; none is kept."""
    for file in sorted(folder.glob(f"{part}-*.npz")):
        with np.load(file) as arrays:
            yield {tap: arrays[tap] for tap in taps}


def pictures_of(folder: Path) -> Pixels:
    """The test pictures at the input size."""
    pictures: Pixels = np.load(folder / "pictures.npy", mmap_mode="r")
    return pictures
