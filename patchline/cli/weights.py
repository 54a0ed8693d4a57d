"""`patchline weights`: which backbones are at hand, and how to get the others."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from patchline.cli import quantise
from patchline.cli.errors import PlainErrors
from patchline.vision.backbones import BACKBONES, download, store, torch_export
from patchline.vision.backbones.lookup import every_backbone
from patchline.vision.backbones.spec import BackboneSpec
from patchline.wire.errors import MisconfiguredError

_HELP = f"""Backbones: list them, export other taps, fetch published weights.

Weights are looked for in the folders of {store.VARIABLE} (a path list), then in the user's cache, then in the package.
Nothing is ever downloaded but by [bold]weights fetch[/bold].

[bold]Examples[/bold]

    patchline weights list
    patchline weights fetch wide_resnet50_2
    patchline weights quantise mobilenet_v2 --data pictures/bottle
"""

app = typer.Typer(
    name="weights", cls=PlainErrors, help=_HELP, no_args_is_help=True, rich_markup_mode="rich", add_completion=False
)

Name = Annotated[str, typer.Argument(help="The backbone, as in 'patchline weights list'.", show_default=False)]
Out = Annotated[Path | None, typer.Option(help="Folder to write to; the user's cache by default.")]


@app.command("list")
def list_backbones() -> None:
    """Every backbone: its taps, its licence, and the file that would be used.

    Example: patchline weights list
    """
    console = Console(soft_wrap=True, highlight=False)
    for spec in every_backbone():
        if spec.quantised and _is_away(spec):
            continue
        console.print(f"[bold]{spec.name}[/bold] · {spec.licence} · {_state(spec)}")
        console.print(f"    default taps {', '.join(spec.default_taps)} of {', '.join(spec.taps)}")


@app.command()
def export(
    name: Name,
    taps: Annotated[str, typer.Option(help="Taps joined by commas; all of the backbone's by default.")] = "",
    source: Annotated[
        Path | None, typer.Option("--from", help="Weights as safetensors, under torchvision's parameter names.")
    ] = None,
    out: Out = None,
) -> None:
    r"""Make an ONNX file of a backbone's weights, with any of its taps (needs the torch extra).

    Examples: patchline weights export mobilenet_v2

    patchline weights export mobilenet_v2 \
        --taps features.3,features.8,features.14 --out weights/
    """
    spec = _spec(name)
    asked = spec.ordered([tap.strip() for tap in taps.split(",") if tap.strip()] or list(spec.taps))
    _say_exported(_export(spec, asked, source or store.find_checkpoint(spec), out or store.cache_folder()))


@app.command()
def fetch(
    name: Name,
    url: Annotated[str, typer.Option(help="A mirror of torchvision's file, instead of its own download.")] = "",
    sha256: Annotated[str, typer.Option(help="What the mirror's file's sha256 begins with, if not as published.")] = "",
    out: Out = None,
) -> None:
    """Download a backbone's published weights, check their sha256, and export all its taps (needs the torch extra).

    Example: patchline weights fetch wide_resnet50_2
    """
    spec = _spec(name)
    folder = out or store.cache_folder()
    with Progress(transient=True) as progress:
        task = progress.add_task(f"downloading {spec.name}", total=None)
        checkpoint = download.fetch(
            spec,
            folder,
            url=url,
            sha256_prefix=sha256.lower(),
            on_progress=lambda done, total: progress.update(task, completed=done, total=total or None),
        )
    _say_exported(_export(spec, tuple(spec.taps), checkpoint, folder))


def _export(spec: BackboneSpec, taps: tuple[str, ...], checkpoint: Path, folder: Path) -> Path:
    model = torch_export.export(spec, download.read_checkpoint(checkpoint), taps)
    return store.save_export(model, spec, taps, checkpoint=checkpoint, folder=folder)


app.command("quantise")(quantise.command)


def _say_exported(path: Path) -> None:
    typer.echo(f"wrote {path}")
    if path.parent.resolve() not in [folder.resolve() for folder in store.folders()]:
        typer.echo(f"to have it found, add {path.parent} to {store.VARIABLE}")


def _spec(name: str) -> BackboneSpec:
    if name not in BACKBONES:
        raise MisconfiguredError(
            f"there is no backbone {name!r}", where="weights", remedy=f"choose one of {', '.join(BACKBONES)}"
        )
    return BACKBONES[name]


def _is_away(spec: BackboneSpec) -> bool:
    return not any(True for folder in store.folders() for _ in store.candidates(spec, folder))


def _state(spec: BackboneSpec) -> str:
    try:
        found = store.find(spec)
    except MisconfiguredError as error:
        return f"[yellow]{error.what}; {error.remedy}[/yellow]"
    return f"[green]{found.path}[/green] · sha256 {found.sha256[:12]}"
