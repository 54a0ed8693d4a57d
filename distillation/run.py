"""One run of the recipe, from drawn pictures to exported bytes; it goes on where it was stopped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from distillation.augmentation import training_crop
from distillation.chunks import ChunkPlan, chunks
from distillation.pool import open_pool, pool_path
from distillation.recipe import Recipe
from distillation.targets import Projection, fit_projections, load_projections, save_projections
from distillation.teacher import OnnxTeacher
from patchline.vision.pixels.preprocessing import normalise

Stage = Callable[[str, int, int], None]
STATISTICS_SIDE, STATISTICS_BATCH = 224, 8


def drawn_pool(
    recipe: Recipe, work: Path, *, workers: int, on_progress: Callable[[int, int], None] | None = None
) -> Path:
    """The recipe's pictures, drawn where they are missing; the path of the pool."""
    arguments = {
        "seed": recipe.seed,
        "scenes": recipe.scenes,
        "products": recipe.products,
        "side": recipe.picture_side,
    }
    open_pool(work, **arguments, workers=workers, on_progress=on_progress)
    return pool_path(work, **arguments)


def crop_batches(recipe: Recipe, pool: NDArray[np.uint8], *, purpose: int) -> Iterator[NDArray[np.uint8]]:
    """The recipe's crops for statistics, batch by batch; another purpose sees other crops."""
    rng = np.random.default_rng([recipe.seed, purpose])
    for _ in range(recipe.projection_crops // STATISTICS_BATCH):
        yield np.stack([training_crop(rng, pool, STATISTICS_SIDE) for _ in range(STATISTICS_BATCH)])


def fitted_projections(recipe: Recipe, pool: NDArray[np.uint8], teacher: OnnxTeacher) -> dict[str, Projection]:
    """The principal directions of the teacher's maps over crops of the pool."""
    return fit_projections(teacher.maps(normalise(crops)) for crops in crop_batches(recipe, pool, purpose=0))


def distil(
    recipe: Recipe, *, teacher: Path, work: Path, threads: int = 1, workers: int = 1, on_progress: Stage | None = None
) -> bytes:
    """Train the recipe's student to the end and export it.

    Args:
        recipe: What to do.
        teacher: MobileNetV2 as ONNX.
        work: Where pictures and checkpoints are kept.
        threads: Of the student's training.
        workers: Processes that draw pictures.
        on_progress: Called with a stage's name, steps done and steps in all.

    Raises:
        MisconfiguredError: the teacher is missing or has not the taps.
    """
    import torch  # noqa: PLC0415 -- drawing needs no torch, this does

    from distillation.export import to_onnx  # noqa: PLC0415 -- imports torch
    from distillation.gains import restoring_gains  # noqa: PLC0415 -- imports torch
    from distillation.training import Run, train  # noqa: PLC0415 -- imports torch

    report = on_progress or (lambda _stage, _done, _total: None)
    folder = recipe.folder(work)
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(threads)
    frozen = OnnxTeacher(teacher)
    pool = drawn_pool(recipe, work, workers=workers, on_progress=partial(report, "drawing"))
    if not (folder / "projections.safetensors").exists():
        projections = fitted_projections(recipe, np.load(pool, mmap_mode="r"), frozen)
        save_projections(projections, folder / "projections.safetensors")
    projections = load_projections(folder / "projections.safetensors")
    run = Run(recipe.schedule, seed=recipe.seed)
    checkpoint = folder / "checkpoint.pt"
    if checkpoint.exists():
        run.resume(checkpoint)

    def note(learned: int, figures: dict[str, float]) -> None:
        with (folder / "curve.jsonl").open("a") as file:
            file.write(json.dumps({"chunk": learned, **figures}) + "\n")
        report("training", learned, recipe.schedule.chunks)

    plan = ChunkPlan(pool, teacher, projections, recipe.seed, recipe.chunk_size, recipe.sides)
    train(run, chunks(plan, first=run.learned, count=recipe.schedule.chunks), checkpoint=checkpoint, on_chunk=note)
    notes = {
        "recipe": recipe.notes(),
        "teacher_sha256": hashlib.sha256(teacher.read_bytes()).hexdigest(),
        "pictures_sha256": sha256_of(pool),
        "explained": {tap: projection.explained for tap, projection in projections.items()},
    }
    crops = crop_batches(recipe, np.load(pool, mmap_mode="r"), purpose=4)
    gains = restoring_gains(run.average, frozen, projections, crops)
    return to_onnx(run.average, {tap: projections[tap].scale * gain for tap, gain in gains.items()}, notes=notes)


def sha256_of(path: Path) -> str:
    """The digest of a file of any size."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_curve(recipe: Recipe, work: Path) -> list[dict[str, float]]:
    """The learning curve of a run so far, a row a chunk; a chunk learned again after a crash counts once."""
    path = recipe.folder(work) / "curve.jsonl"
    if not path.exists():
        return []
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return list({row["chunk"]: row for row in rows}.values())
