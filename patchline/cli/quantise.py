"""`patchline weights quantise`: a backbone in 8-bit integers, and what that costs."""

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import Progress

from patchline.bench import precision
from patchline.bench.precision import Contestant
from patchline.pictures.files import open_picture, read_category
from patchline.vision.backbones import quantisation, store
from patchline.vision.backbones.graph import cut
from patchline.vision.backbones.lookup import backbone_of, int8_of
from patchline.vision.backbones.onnx_engine import OnnxEngine
from patchline.vision.backbones.spec import BackboneSpec
from patchline.vision.pixels.arrays import Floats
from patchline.vision.pixels.preprocessing import normalise, resize
from patchline.wire.errors import MisconfiguredError

_LOG_WIDTH = 120
_FEWEST = 4


def command(
    name: Annotated[str, typer.Argument(help="The backbone, as in 'patchline weights list'.", show_default=False)],
    *,
    data: Annotated[Path, typer.Option(help="Normal pictures: a folder of them, or a category in MVTec layout.")],
    taps: Annotated[str, typer.Option(help="Taps joined by commas; its default ones if not given.")] = "",
    out: Annotated[Path | None, typer.Option(help="Folder to write to; the user's cache by default.")] = None,
    pictures: Annotated[int, typer.Option(min=_FEWEST, help="Used at most; half calibrate, half are held out.")] = 64,
    side: Annotated[int, typer.Option(min=32, help="Pictures are resized to this square.")] = 224,
    reduce_range: Annotated[
        bool, typer.Option("--reduce-range", help="Weights of 7 bits, for x86 processors without VNNI.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of which pictures are taken, and of the comparison.")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures there too.")] = None,
) -> None:
    r"""Make an int8 form of a backbone from normal pictures, and print what is lost (needs the torch extra).

    It is used only where it is named in full: [bold]--backbone mobilenet_v2:int8[/bold].

    [bold]Example[/bold]

        patchline weights quantise mobilenet_v2 --data pictures/bottle \
            --out weights/
    """
    spec = backbone_of(name)
    if spec.quantised:
        raise MisconfiguredError(f"{name} is quantised already", where="weights quantise", remedy="name the float one")
    asked = spec.ordered([tap.strip() for tap in taps.split(",") if tap.strip()])
    batch = _pictures(data, side, pictures, seed)
    learnt, held_out = batch[::2], batch[1::2]
    stored = store.find(spec, asked)
    model = cut(stored.read(), asked)
    with Progress(transient=True) as progress:
        task = progress.add_task(f"quantising {spec.name}", total=None)
        made = quantisation.quantise(
            model,
            asked,
            learnt,
            reduce_range=reduce_range,
            on_progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
    sides = _contestant(spec, model, asked), _contestant(int8_of(spec), made.model, asked)
    figures = precision.compare(*sides, learnt, held_out, seed=seed)
    path = store.save_export(
        made.model, int8_of(spec), asked, checkpoint=stored.path, folder=out or store.cache_folder()
    )
    figures |= {"float_convolutions": made.float_convolutions, "worst_errors": list(made.worst_errors)}
    _say(figures, sides, path)
    if json_file is not None:
        store.write(json_file, json.dumps(figures, indent=1).encode() + b"\n")


def _pictures(data: Path, side: int, most: int, seed: int) -> Floats:
    """So many of the normal pictures, normalised; drawn at random, because a folder is often in order of time."""
    samples = read_category(data).train
    if len(samples) < _FEWEST:
        raise MisconfiguredError(
            f"{len(samples)} pictures are too few to calibrate on and to compare with",
            where=str(data),
            remedy="give 64",
        )
    chosen = np.random.default_rng(seed).permutation(len(samples))[:most]
    return normalise(np.stack([resize(open_picture(samples[index].path), (side, side)) for index in chosen]))


def _contestant(spec: BackboneSpec, model: bytes, taps: tuple[str, ...]) -> Contestant:
    return Contestant(spec.name, model, taps, OnnxEngine(model, taps, threads=1, where=spec.name))


def _say(figures: dict[str, Any], sides: tuple[Contestant, Contestant], path: Path) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=_LOG_WIDTH)
    console.print(precision.table(figures, *sides))
    tried = ", ".join(f"{error:.1%}" for error in figures["worst_errors"])
    console.print(
        f"first convolutions left in float: {figures['float_convolutions']} (worst tap with 0, 1, ...: {tried})"
    )
    console.print(f"use it as: --backbone {sides[1].name}", highlight=False)
    typer.echo(f"wrote {path}")
    if path.parent.resolve() not in [folder.resolve() for folder in store.folders()]:
        typer.echo(f"to have it found, add {path.parent} to {store.VARIABLE}")
