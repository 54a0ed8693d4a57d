"""The verb: measure, print, write.

Its bias: test pictures and labels are a category's own, and the detectors were developed while five such categories
could be looked at. Accuracy is of uncompressed pictures; what codecs cost is the transmission benchmark's table.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console

from patchline.bench.detectors.contenders import YARDSTICK, chosen
from patchline.bench.detectors.device import measure_on_device
from patchline.bench.detectors.plots import draw
from patchline.bench.detectors.rows import Plan, measure_all
from patchline.bench.detectors.show import NOTES, show
from patchline.bench.stamp import stamp
from patchline.replay.phases import OnPhase, phases
from patchline.vision.backbones import BACKBONES
from patchline.vision.backbones.store import find
from patchline.wire.errors import MisconfiguredError, UnavailableError

DEFAULT_BACKBONES = ("patchline_s", "mobilenet_v2", "resnet18", "resnet50_v2_trunk")
LOG_WIDTH = 230
"""Columns of a table that goes into a file: no row is broken."""


def command(
    data: Annotated[
        Path, typer.Option("--data", help="A category's folder in MVTec's layout, with test/.", show_default=False)
    ],
    *,
    detector: Annotated[
        list[str] | None,
        typer.Option("--detector", help="Detector, or a row such as patchcore-10%; repeat it. All rows by default."),
    ] = None,
    backbone: Annotated[
        list[str] | None,
        typer.Option("--backbone", help="Backbone, or NAME:TAP,TAP; repeat it. All whose weights are here by default."),
    ] = None,
    ablation: Annotated[bool, typer.Option("--ablation", help="Also rows A to E of FAPM's table 2.")] = False,
    device: Annotated[str, typer.Option("--device", help="cpu, or cuda, which needs the torch extra.")] = "cpu",
    json: Annotated[Path | None, typer.Option("--json", help="Also write the figures to this file.")] = None,
    plots: Annotated[Path | None, typer.Option("--plots", help="Draw accuracy against speed into this folder.")] = None,
    side: Annotated[int, typer.Option("--side", min=32, help="Pictures are resized to this square.")] = 224,
    threads: Annotated[int, typer.Option("--threads", min=1, help="CPU threads of backbone and faiss.")] = 1,
    runs: Annotated[int, typer.Option("--runs", min=1, help="Single pictures timed a row.")] = 60,
    seed: Annotated[int, typer.Option("--seed", help="Of everything random.")] = 0,
) -> None:
    r"""Compare detectors on a category: accuracy and cost.

    [bold]Examples[/bold]

        patchline bench detectors --data pictures/bottle \
            --json detectors.json --plots .

        patchline bench detectors --data pictures/bottle \
            --backbone resnet50_v2_trunk --device cuda
    """
    errors, console = Console(stderr=True), Console()
    if not console.is_terminal:
        console = Console(width=LOG_WIDTH)
    backbones = _backbones(backbone or [], errors)
    plan = Plan(
        data=data,
        contenders=chosen(detector or [], ablation=ablation),
        backbones=backbones,
        size=(side, side),
        threads=threads,
        seed=seed,
        runs=runs,
    )
    rows: list[dict[str, Any]] = []
    with phases(errors) as on_phase:
        for several in _measured(plan, detector or ["patchcore", "fapm"], device, on_phase):
            show(several, console)
            rows += several
    for note in NOTES:
        console.print(note, style="dim", highlight=False, soft_wrap=True)
    if json is not None:
        _write(json, rows, seed=seed)
    for path in draw(rows, plots) if plots is not None else []:
        console.print(str(path), soft_wrap=True, highlight=False)


def _measured(plan: Plan, detectors: list[str], device: str, on_phase: OnPhase) -> Iterator[list[dict[str, Any]]]:
    if device == "cpu":
        return measure_all(plan, on_phase)
    return measure_on_device(
        plan.data, detectors, list(plan.backbones), device=device, size=plan.size, seed=plan.seed, on_phase=on_phase
    )


def _backbones(given: list[str], errors: Console) -> dict[str, tuple[str, ...]]:
    """Backbones with the taps named; all whose weights are here where none is named, and a warning for the others."""
    if given:
        named = (each.partition(":") for each in given)
        asked = {name: tuple(tap for tap in taps.split(",") if tap) for name, _, taps in named}
        if unknown := [name for name in asked if name not in BACKBONES]:
            raise MisconfiguredError(
                f"no backbone is called {unknown[0]!r}", where="--backbone", remedy=f"use: {', '.join(BACKBONES)}"
            )
        return asked
    here: dict[str, tuple[str, ...]] = {}
    for name in DEFAULT_BACKBONES:
        try:
            find(BACKBONES[name])
        except MisconfiguredError as error:
            errors.print(f"{name} is left out: {error.what}", style="yellow", highlight=False)
        else:
            here[name] = ()
    return here


def _write(path: Path, rows: list[dict[str, Any]], *, seed: int) -> None:
    content = {"rows": rows, "yardstick": YARDSTICK, **msgspec.to_builtins(stamp(seed=seed))}
    try:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n")
    except OSError as error:
        raise UnavailableError(f"{path} cannot be written: {error.strerror}") from error
