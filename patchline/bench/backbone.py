"""Backbone against backbone: cost, speed and accuracy with the same detector, pictures and machine.

Its bias: it was written to judge the packaged backbone against its own teacher, on categories its makers could look at
(nothing of them went into the training). Speed is measured with both networks taking turns, cut at the same stride.
"""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from patchline.bench.backbone_comparison import Contestant, Pair, Resampled, contestant, duel, mean_differences
from patchline.bench.multiply_adds import multiply_adds
from patchline.bench.stamp import stamp
from patchline.bench.standalone import run
from patchline.pictures.files import Category, read_category
from patchline.vision.backbones.graph import cut
from patchline.vision.pixels.arrays import Size
from patchline.wire.errors import MisconfiguredError

ROUNDS, WARM_UP = 100, 5
LOG_WIDTH = 150
"""Columns of a table that goes into a file: no row is broken."""


def speed(contestants: Sequence[Contestant], size: Size, *, seed: int) -> dict[str, dict[str, float]]:
    """Seconds a picture, median and fastest, of networks that take turns on the same noise."""
    batch = np.random.default_rng(seed).standard_normal((1, 3, *size), dtype=np.float32)
    seconds: dict[str, list[float]] = {backbone.name: [] for backbone in contestants}
    for turn in range(-WARM_UP, ROUNDS):
        for backbone in contestants:
            start = time.perf_counter()
            backbone.engine.run(batch)
            if turn >= 0:
                seconds[backbone.name].append(time.perf_counter() - start)
    return {name: {"median": float(np.median(taken)), "fastest": min(taken)} for name, taken in seconds.items()}


def cost(pair: Pair, size: Size, *, seed: int, threads: int) -> dict[str, Any]:
    """What both networks cost: seconds, multiply-adds, bytes of their files, and how often the first is faster."""
    timed = speed(pair, size, seed=seed)
    mine, theirs = (timed[backbone.name] for backbone in pair)
    return {
        "threads": threads,
        "taps": {backbone.name: list(backbone.taps) for backbone in pair},
        "size": list(size),
        "backbone_seconds": timed,
        "times_faster": {kind: theirs[kind] / mine[kind] for kind in ("median", "fastest")},
        "multiply_adds": {b.name: multiply_adds(cut(b.model, b.taps), size) for b in pair},
        "model_bytes": {backbone.name: len(backbone.model) for backbone in pair},
    }


def categories(data: Path) -> list[Category]:
    """Every category at or up to two folders below a folder, in the order of their paths.

    Raises:
        MisconfiguredError: There is none.
    """
    places = sorted(place.parent.parent for depth in ("", "*/", "*/*/") for place in data.glob(f"{depth}train/good"))
    if not places:
        raise MisconfiguredError("no category with train/good was found", where=str(data), remedy="name a data folder")
    return [read_category(place) for place in places]


def table(rows: list[dict[str, Any]], pair: Pair) -> Table:
    """What a person reads."""
    title = f"{pair[0].name} / {pair[1].name}"
    shown = Table("category", "detector", "image AUROC", "difference", "pixel F1", "difference", "MB", title=title)
    for row in rows:
        sides = [row[backbone.name] for backbone in pair]
        cells = [" / ".join(f"{side['image_auroc']:.4f}" for side in sides), _difference(row, "image_auroc")]
        cells += [" / ".join(f"{side['pixel_f1']:.3f}" for side in sides if "pixel_f1" in side)]
        cells += [_difference(row, "pixel_f1"), " / ".join(f"{side['artifact_bytes'] / 1e6:.2f}" for side in sides)]
        shown.add_row(row["category"], row["detector"], *cells)
    return shown


def _difference(row: dict[str, Any], measure: str) -> str:
    found = row.get(f"{measure}_difference")
    return f"{found['value']:+.3f} ({found['interval'][0]:+.3f} to {found['interval'][1]:+.3f})" if found else ""


def command(
    *,
    data: Annotated[Path, typer.Option(help="A category in MVTec layout, or a folder of categories.")],
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures there too.")] = None,
    backbone: Annotated[str, typer.Option(help="The backbone to judge.")] = "patchline_s",
    against: Annotated[str, typer.Option(help="The backbone it is judged against.")] = "mobilenet_v2",
    against_taps: Annotated[str, typer.Option(help="Its taps, comma-separated; its default ones if not given.")] = "",
    model: Annotated[Path | None, typer.Option(help="Judge this ONNX file as the backbone.")] = None,
    detectors: Annotated[str, typer.Option(help="Comma-separated.")] = "patchcore",
    coreset_ratio: Annotated[float | None, typer.Option(help="PatchCore's; its default if not given.")] = None,
    side: Annotated[int, typer.Option(help="Pictures are resized to this square.")] = 224,
    threads: Annotated[int, typer.Option(min=1, help="Of ONNX Runtime.")] = 1,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
) -> None:
    r"""Judge one backbone against another: cost, speed, and accuracy with paired-bootstrap intervals.

    [bold]Example[/bold]

        patchline bench backbone --data pictures --detectors patchcore,fapm \
            --json backbone.json
    """
    console, size = Console(), (side, side)
    if not console.is_terminal:
        console = Console(width=LOG_WIDTH)
    pair = (contestant(backbone, model, threads), contestant(against, None, threads, _names(against_taps)))
    result: dict[str, Any] = {"cost": cost(pair, size, seed=seed, threads=threads), "means": {}, "rows": []}
    console.print_json(data=result["cost"])
    for detector in _names(detectors):
        rows: list[dict[str, Any]] = []
        resamples: list[Resampled] = []
        given = {"coreset_ratio": coreset_ratio} if coreset_ratio and detector == "patchcore" else {}
        for category in categories(data):
            row, differences = duel(category, pair, detector, size, seed=seed, parameters=given)
            rows.append(row)
            resamples.append(differences)
            console.print(table([row], pair))
        result["rows"] += rows
        result["means"][detector] = mean_differences(rows, resamples)
    console.print(table(result["rows"], pair))
    console.print_json(data=result["means"])
    result |= msgspec.to_builtins(stamp(seed=seed))
    if json_file is not None:
        json_file.write_text(json.dumps(result, indent=1) + "\n")


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


if __name__ == "__main__":
    run(command)
