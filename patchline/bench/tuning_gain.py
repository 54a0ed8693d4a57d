"""What `commission --tune` brings: the input size and the options it chooses from normal pictures alone.

Judged by labelled test pictures. Its bias: what it may choose from, and how certain it must be, was decided with five
of these categories in view.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from patchline.artifacts.tuning import INPUT_SIZE
from patchline.bench.backbone import categories
from patchline.bench.detectors.embeddings import engine_of, open_all
from patchline.bench.stamp import stamp
from patchline.bench.standalone import run
from patchline.commissioning.held_out import batches
from patchline.commissioning.normal_pictures import embed, silently
from patchline.commissioning.trials.input_sizes import sizes_to_try, written
from patchline.commissioning.trials.input_trial import InputTrial, Sent
from patchline.commissioning.trials.tuner import tune
from patchline.pictures.files import GOOD, Category, open_mask, open_picture
from patchline.replay.phases import OnPhase, phases
from patchline.vision.backbones import BACKBONES
from patchline.vision.backbones.engine import Engine
from patchline.vision.detectors import DETECTORS
from patchline.vision.detectors.protocol import Detector
from patchline.vision.pixels.arrays import Floats, Size
from patchline.vision.scoring import evaluation

MEASURES = ("image_auroc", "pixel_f1")


def gain(
    category: Category, engine: Engine, backbone: str, detector: str, asked: Size, *, seed: int, on_phase: OnPhase
) -> dict[str, Any]:
    """One category's figures with the detector's defaults and as tuned, and why it was tuned so."""
    stride = max(BACKBONES[backbone].taps[tap].stride for tap in engine.taps)
    kind = DETECTORS[detector]
    trial = InputTrial(
        asked=asked,
        stride=stride,
        kind=kind,
        parameters={},
        send=lambda several: Sent(embed(engine, several, silently)),
        seed=seed,
    )
    sizing = trial.choose(category.train, lambda *steps: on_phase(f"{category.name}: try input sizes", *steps))
    pictures = open_all(category.train, sizing.size)
    maps = embed(engine, pictures, silently)
    tuning = tune(
        kind,
        pictures,
        maps,
        lambda several: embed(engine, several, silently),
        parameters={},
        seed=seed,
        on_progress=lambda *steps: on_phase(f"{category.name}: tune", *steps),
    )
    del pictures, maps
    sizes = (asked, *sizes_to_try(asked, [open_picture(sample.path).shape[:2] for sample in category.train], stride))
    judged: dict[str, dict[str, float | None]] = {}
    for size in sizes:
        chosen = {None: {}} if size != sizing.size else {None: {}, "tuned": tuning.chosen}
        judged |= _judged(category, engine, size, kind, seed=seed, options=chosen)
    return {
        "category": category.name,
        "detector": detector,
        "default": judged[written(asked)],
        "tuned": judged["tuned"],
        "input_size": written(sizing.size),
        "input_sizes": {written(size): judged[written(size)] for size in sizes},
        "input_tuning": msgspec.to_builtins(sizing.tuning),
        "tuning": msgspec.to_builtins(tuning),
    }


def _judged(
    category: Category,
    engine: Engine,
    size: Size,
    kind: type[Detector],
    *,
    seed: int,
    options: Mapping[str | None, dict[str, Any]],
) -> dict[str, dict[str, float | None]]:
    """Figures of detectors fitted with some options, by their name; by the size where they have none."""
    normal, tested = (embed(engine, open_all(part, size), silently) for part in (category.train, category.test))
    places = np.arange(len(category.test))
    found = {}
    for name, parameters in options.items():
        fitted = kind.fit([normal], seed=seed, **parameters)
        rendered = [fitted.render(fitted.search(fitted.embed(part)), size) for part in batches(tested, places)]
        scores, maps = (np.concatenate([getattr(each, part) for each in rendered]) for part in ("scores", "maps"))
        found[name or written(size)] = _figures(category, scores, maps, size)
    return found


def _figures(category: Category, scores: Floats, maps: Floats, size: Size) -> dict[str, float | None]:
    """The measures, those of pixels over the pictures whose truth is known."""
    truth = np.array([sample.label != GOOD for sample in category.test])
    known = [(at, mask) for at, each in enumerate(category.test) if (mask := open_mask(each, size)) is not None]
    masks = [mask for _, mask in known]
    drawn = any(mask.any() for mask in masks)
    return {
        "image_auroc": evaluation.image_auroc(truth, scores),
        "pixel_f1": evaluation.pixel_f1(masks, maps[[at for at, _ in known]]) if drawn else None,
    }


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
    """What was chosen, as a person reads it."""
    shown = Table("category", "detector", "image AUROC", "pixel F1", "chosen", title=title, title_justify="left")
    for row in rows:
        cells = [_pair(row["default"][measure], row["tuned"][measure]) for measure in MEASURES]
        chosen = row["input_tuning"]["chosen"] | row["tuning"]["chosen"]
        options = " ".join(f"{name}={value}" for name, value in chosen.items())
        shown.add_row(row["category"], row["detector"], *cells, options or "defaults")
    return shown


def sizes_table(rows: list[dict[str, Any]], title: str) -> Table:
    """What every input size brings with the detector's defaults, and what drawn defects say of it."""
    columns = ("category", "input size", "pixels", "image AUROC", "pixel F1", "drawn defects", "must exceed", "taken")
    shown = Table(*columns, title=title, title_justify="left")
    for row in rows:
        tried = {each["parameters"][INPUT_SIZE]: each for each in row["input_tuning"]["tried"]}
        for size, figures in row["input_sizes"].items():
            values = ["" if figures[measure] is None else f"{figures[measure]:.4f}" for measure in MEASURES]
            told = tried.get(size)
            drawn = ["1.00", *values, "", ""]
            if told is not None:
                low, high = told["interval"]
                drawn = [f"{told['cost']['pixels']:.2f}", *values, f"{told['gain']:+.4f} ({low:+.4f} to {high:+.4f})"]
                drawn += [f"{told['margin']:.4f}"]
            shown.add_row(row["category"], size, *drawn, "yes" if size == row["input_size"] else "")
    return shown


def _pair(before: float | None, after: float | None) -> str:
    return "" if before is None or after is None else f"{before:.4f} -> {after:.4f}"


def command(
    *,
    data: Annotated[Path, typer.Option(help="A category in MVTec layout, or a folder of categories.")],
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures there too.")] = None,
    backbone: Annotated[str, typer.Option(help="The backbone.")] = "mobilenet_v2",
    detectors: Annotated[str, typer.Option(help="Comma-separated.")] = "fapm",
    side: Annotated[int, typer.Option(help="Pictures are resized to this square unless another size is better.")] = 224,
    threads: Annotated[int, typer.Option(min=1, help="Of ONNX Runtime.")] = 1,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
) -> None:
    """Tune input size and detectors on normal pictures, and judge defaults and tuned options by labelled ones."""
    console = Console() if sys.stdout.isatty() else Console(width=150)
    engine = engine_of(backbone, BACKBONES[backbone].default_taps, threads)
    result: dict[str, Any] = {"rows": [], "means": {}, "backbone": backbone, "threads": threads}
    with phases(Console(stderr=True)) as on_phase:
        for detector in detectors.split(","):
            rows = []
            for category in categories(data):
                rows.append(gain(category, engine, backbone, detector, (side, side), seed=seed, on_phase=on_phase))
                for why in ("input_tuning", "tuning"):
                    console.print(f"{category.name}: {rows[-1][why]['reason']}", highlight=False, soft_wrap=True)
            console.print(sizes_table(rows, f"{detector} with its defaults, {backbone}"))
            console.print(table(rows, f"{detector}, {backbone}"))
            result["rows"] += rows
            result["means"][detector] = means(rows)
            console.print_json(data=result["means"][detector])
    result |= msgspec.to_builtins(stamp(seed=seed))
    if json_file is not None:
        json_file.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    run(command)
