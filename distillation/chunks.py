"""Chunks of training examples: crops and their targets, made ahead in a process of its own.

Chunk k depends on the seed and k alone, so a resumed training sees exactly what it would have seen.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from distillation.augmentation import training_crop
from distillation.targets import Projection
from distillation.teacher import TAPS, OnnxTeacher
from patchline.vision.pixels.preprocessing import normalise

TEACHER_BATCH = 8


@dataclass(frozen=True)
class Chunk:
    """Crops (N, side, side, 3) uint8 and their targets, tap -> (N, channels, h, w) float16."""

    index: int
    pixels: NDArray[np.uint8]
    targets: dict[str, NDArray[np.float16]]


@dataclass(frozen=True)
class ChunkPlan:
    """What a chunk is made of."""

    pool: Path
    teacher: Path
    projections: dict[str, Projection]
    seed: int
    size: int
    sides: tuple[int, ...]


@lru_cache(maxsize=1)
def _teacher(path: Path) -> OnnxTeacher:
    """The worker's own teacher: a session cannot be sent between processes."""
    return OnnxTeacher(path)


def make_chunk(plan: ChunkPlan, index: int) -> Chunk:
    """Chunk `index` of the plan; its side is the plan's sides in turn."""
    rng = np.random.default_rng([plan.seed, 1, index])
    pool = np.load(plan.pool, mmap_mode="r")
    side = plan.sides[index % len(plan.sides)]
    pixels = np.stack([training_crop(rng, pool, side) for _ in range(plan.size)])
    teacher = _teacher(plan.teacher)
    targets: dict[str, list[NDArray[np.float16]]] = {tap.student: [] for tap in TAPS}
    for start in range(0, plan.size, TEACHER_BATCH):
        maps = teacher.maps(normalise(pixels[start : start + TEACHER_BATCH]))
        for tap in TAPS:
            targets[tap.student].append(plan.projections[tap.student].apply(maps[tap.teacher]).astype(np.float16))
    return Chunk(index, pixels, {name: np.concatenate(parts) for name, parts in targets.items()})


def chunks(plan: ChunkPlan, *, first: int, count: int) -> Iterator[Chunk]:
    """Chunks `first` to `count` - 1, each made while the one before it is being learned."""
    if first >= count:
        return
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as worker:
        ahead = worker.submit(make_chunk, plan, first)
        for index in range(first, count):
            chunk = ahead.result()
            if index + 1 < count:
                ahead = worker.submit(make_chunk, plan, index + 1)
            yield chunk
