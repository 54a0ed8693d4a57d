"""The command line of the distillation: draw the pictures, train the student, export it; every step can be repeated."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from distillation.recipe import Recipe, work_folder
from distillation.schedule import Schedule
from patchline.wire.errors import EXIT_MISCONFIGURED, MisconfiguredError, missing_extra

log = logging.getLogger("distillation")
app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="How the packaged backbone is made: pictures drawn by the project, MobileNetV2 as the teacher.",
)
TeacherOption = Annotated[Path, typer.Option(help="torchvision's MobileNetV2 as ONNX, with taps features.6 and .13.")]
WorkOption = Annotated[Path, typer.Option(help="Where pictures, checkpoints and logs are kept; not the repository.")]


WORK = work_folder()


def _bar() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True))


@app.command(epilog="Example: python -m distillation draw --workers 4")
def draw(
    *,
    work: WorkOption = WORK,
    scenes: Annotated[int, typer.Option(min=1, help="Scenes to draw.")] = Recipe().scenes,
    products: Annotated[int, typer.Option(min=0, help="Product pictures to draw.")] = Recipe().products,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Processes; the pictures do not depend on it.")] = 1,
) -> None:
    """Draw the training pictures; training does it too where they are missing."""
    from distillation.run import drawn_pool  # noqa: PLC0415 -- a help text needs no rooms

    with _bar() as bar:
        task = bar.add_task("drawing", total=scenes + products)
        recipe = Recipe(scenes=scenes, products=products, seed=seed)
        path = drawn_pool(recipe, work, workers=workers, on_progress=lambda done, _: bar.update(task, completed=done))
    log.info("pictures are in %s", path)


@app.command(epilog="Example: python -m distillation train --teacher weights/mobilenet_v2.onnx --out patchline_s.onnx")
def train(
    *,
    teacher: TeacherOption,
    out: Annotated[Path, typer.Option(help="The ONNX file to write.")],
    work: WorkOption = WORK,
    chunks: Annotated[
        int, typer.Option(min=1, help="Chunks to learn; the second cycle stretches, a run too short for it has one.")
    ] = Schedule().chunks,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    threads: Annotated[
        int, typer.Option(min=1, help="Of the student's training; the teacher has a process of its own.")
    ] = 1,
    workers: Annotated[int, typer.Option(min=1, help="Processes that draw pictures.")] = 1,
) -> None:
    """Train the student, or go on where the last run of the same recipe stopped, and export it."""
    try:
        import torch  # noqa: F401, PLC0415 -- tells a missing extra before the pictures are drawn
    except ModuleNotFoundError as error:
        raise missing_extra("torch", "torch") from error
    from distillation.run import distil  # noqa: PLC0415 -- a help text needs no rooms

    recipe = Recipe(seed=seed, schedule=Schedule(chunks=chunks))
    with _bar() as bar:
        task = bar.add_task("starting", total=None)

        def show(stage: str, done: int, total: int) -> None:
            bar.update(task, description=stage, completed=done, total=total)

        model = distil(recipe, teacher=teacher, work=work, threads=threads, workers=workers, on_progress=show)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(model)
    log.info("wrote %s, %d bytes, sha256 %s", out, len(model), hashlib.sha256(model).hexdigest())


@app.command(epilog="Example: python -m distillation curve --work ~/.cache/patchline/distillation")
def curve(
    *,
    work: WorkOption = WORK,
    chunks: Annotated[int, typer.Option(min=1, help="Of the run that is shown.")] = Schedule().chunks,
    seed: Annotated[int, typer.Option()] = 0,
) -> None:
    """Print the learning curve of a run: the share of the teacher's variance that is unexplained, tap by tap."""
    from distillation.run import read_curve  # noqa: PLC0415 -- a help text needs no rooms

    console = Console()
    for row in read_curve(Recipe(seed=seed, schedule=Schedule(chunks=chunks)), work):
        console.print_json(json.dumps(row))


def main() -> None:
    """Run the command line; a wrong setting ends it with one sentence and exit code 2."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[RichHandler(show_path=False)])
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        app()
    except MisconfiguredError as error:
        log.error("%s", error)  # noqa: TRY400 -- a sentence for a person; the trace would say no more
        raise SystemExit(EXIT_MISCONFIGURED) from error
