"""What `commission --tune` brings: the options it chooses from normal pictures alone, judged by labelled test pictures.

Its bias: what it may choose from, and how certain it must be, was decided with five of these categories in view.
"""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from analytics_service.normal_pictures import embed, silently
from analytics_service.tuner import tune
from benchmarks.backbone import categories
from benchmarks.detectors.embeddings import engine_of, open_all
from benchmarks.detectors.row import accuracy_of
from benchmarks.stamp import stamp
from benchmarks.standalone import run
from line_replay.phases import phases
from pictures.files import Category
from vision.arrays import FeatureMaps, Progress, Size
from vision.backbones import BACKBONES
from vision.backbones.onnx_engine import OnnxEngine
from vision.detectors import DETECTORS

BATCH = 8
MEASURES = ("image_auroc", "pixel_f1")


def gain(
    category: Category, engine: OnnxEngine, detector: str, size: Size, *, seed: int, on_progress: Progress
) -> dict[str, Any]:
    """One category's figures with the detector's defaults and as tuned, and why it was tuned so."""
    pictures = open_all(category.train, size)
    maps = embed(engine, pictures, silently)
    tuning = tune(
        DETECTORS[detector],
        pictures,
        maps,
        lambda several: embed(engine, several, silently),
        parameters={},
        seed=seed,
        on_progress=on_progress,
    )
    tested = embed(engine, open_all(category.test, size), silently)
    default = _judged(category, maps, tested, size, detector=detector, seed=seed)
    tuned = _judged(category, maps, tested, size, detector=detector, seed=seed, **tuning.chosen)
    return {"category": category.name, "detector": detector, "default": default, "tuned": tuned} | {
        "tuning": msgspec.to_builtins(tuning)
    }


def _judged(
    category: Category, normal: FeatureMaps, tested: FeatureMaps, size: Size, *, detector: str, **parameters: Any
) -> dict[str, float | None]:
    fitted = DETECTORS[detector].fit([normal], **parameters)
    count = len(category.test)
    parts = [{tap: array[at : at + BATCH] for tap, array in tested.items()} for at in range(0, count, BATCH)]
    rendered = [fitted.render(fitted.search(fitted.embed(part)), size) for part in parts]
    scores, maps = (np.concatenate([getattr(each, name) for each in rendered]) for name in ("scores", "maps"))
    return accuracy_of(category.test, scores, maps, size)


def means(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Measure -> its mean over the categories that have it: by default, as tuned, and the worst change."""
    told = {}
    for measure in MEASURES:
        pairs = [(row["default"][measure], row["tuned"][measure]) for row in rows]
        known = np.array([pair for pair in pairs if None not in pair])
        if len(known):
            before, after = known.mean(axis=0)
            told[measure] = {
                "default": float(before),
                "tuned": float(after),
                "worst_change": float((known[:, 1] - known[:, 0]).min()),
            }
    return told


def table(rows: list[dict[str, Any]], title: str) -> Table:
    """What a person reads."""
    shown = Table("category", "detector", "image AUROC", "pixel F1", "chosen", title=title, title_justify="left")
    for row in rows:
        cells = [_pair(row["default"][measure], row["tuned"][measure]) for measure in MEASURES]
        options = " ".join(f"{name}={value}" for name, value in row["tuning"]["chosen"].items())
        shown.add_row(row["category"], row["detector"], *cells, options or "defaults")
    return shown


def _pair(before: float | None, after: float | None) -> str:
    return "" if before is None or after is None else f"{before:.4f} -> {after:.4f}"


def command(
    *,
    data: Annotated[Path, typer.Option(help="A category in MVTec layout, or a folder of categories.")],
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures there too.")] = None,
    backbone: Annotated[str, typer.Option(help="The backbone.")] = "mobilenet_v2",
    detectors: Annotated[str, typer.Option(help="Comma-separated.")] = "fapm",
    side: Annotated[int, typer.Option(help="Pictures are resized to this square.")] = 224,
    threads: Annotated[int, typer.Option(min=1, help="Of ONNX Runtime.")] = 1,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
) -> None:
    """Tune detectors on normal pictures, and judge defaults and tuned options by labelled ones."""
    console = Console() if sys.stdout.isatty() else Console(width=150)
    engine = engine_of(backbone, BACKBONES[backbone].default_taps, threads)
    result: dict[str, Any] = {"rows": [], "means": {}, "backbone": backbone, "threads": threads}
    with phases(Console(stderr=True)) as on_phase:
        for detector in detectors.split(","):
            rows = []
            for category in categories(data):

                def progress(done: int, total: int, name: str = f"{detector}, {category.name}") -> None:
                    on_phase(name, done, total)

                rows.append(gain(category, engine, detector, (side, side), seed=seed, on_progress=progress))
                console.print(f"{category.name}: {rows[-1]['tuning']['reason']}", highlight=False, soft_wrap=True)
            console.print(table(rows, f"{detector}, {backbone}"))
            result["rows"] += rows
            result["means"][detector] = means(rows)
            console.print_json(data=result["means"][detector])
    result |= msgspec.to_builtins(stamp(seed=seed))
    if json_file is not None:
        json_file.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    run(command)
