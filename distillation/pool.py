"""The picture pool: the training pictures drawn once, in parallel, and kept in a file outside the repository."""

from __future__ import annotations

import hashlib
import multiprocessing
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from distillation.products import draw_product
from distillation.scenes import RECIPE, draw_scene

CHUNK = 32


def _draw_many(indices: range, *, seed: int, scenes: int, side: int) -> NDArray[np.uint8]:
    size = (side, side)
    return np.stack(
        [
            draw_scene(seed, index, size) if index < scenes else draw_product(seed, index - scenes, size)
            for index in indices
        ]
    )


def pool_path(folder: Path, *, seed: int, scenes: int, products: int, side: int) -> Path:
    """Where the pool of these arguments lives; another recipe or seed is another file."""
    name = hashlib.sha256(f"{RECIPE}/{seed}/{scenes}/{products}/{side}".encode()).hexdigest()[:12]
    return folder / f"pool-{name}.npy"


def open_pool(
    folder: Path,
    *,
    seed: int,
    scenes: int,
    products: int,
    side: int,
    workers: int = 1,
    on_progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.uint8]:
    """The pool (scenes + products, side, side, 3), memory-mapped; drawn first where the file does not exist yet.

    The pictures depend on the seed and their index alone, never on the number of workers.
    """
    path = pool_path(folder, seed=seed, scenes=scenes, products=products, side=side)
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".unfinished")
        draw = partial(_draw_many, seed=seed, scenes=scenes, side=side)
        _fill(unfinished, draw, count=scenes + products, side=side, workers=workers, on_progress=on_progress)
        unfinished.rename(path)
    pool: NDArray[np.uint8] = np.load(path, mmap_mode="r")
    return pool


def _fill(
    path: Path,
    draw: Callable[[range], NDArray[np.uint8]],
    *,
    count: int,
    side: int,
    workers: int,
    on_progress: Callable[[int, int], None] | None,
) -> None:
    pool = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(count, side, side, 3))
    chunks = [range(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK)]
    with multiprocessing.get_context("spawn").Pool(workers) as processes:
        for chunk, pictures in zip(chunks, processes.imap(draw, chunks), strict=True):
            pool[chunk.start : chunk.stop] = pictures
            if on_progress is not None:
                on_progress(chunk.stop, count)
    pool.flush()
