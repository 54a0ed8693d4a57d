"""The command line: one thin module for each command, which imports what it needs only when it runs."""

from typing import Annotated

import typer

from patchline.cli.verbs import LazyVerbs
from patchline.runtime.version import program_version

ABOUT = r"""Inspects parts on a production line by picture, over MQTT: thin links, exactly one verdict a part.

[bold]Examples[/bold]

    patchline demo
    patchline replay --data pictures/bottle --stations 4 --codec webp:80 \
        --report report
    patchline commission --help

Exit codes: 0 done · 1 the run proved something wrong · 2 a setting, argument or file is wrong · 3 a broker, disk or
service is away.
"""

app = typer.Typer(name="patchline", cls=LazyVerbs, no_args_is_help=True, rich_markup_mode="rich", add_completion=False)


def _say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"patchline {program_version()}")
        raise typer.Exit


@app.callback(help=ABOUT)
def options(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Say which version this is.")
    ] = False,
) -> None:
    """Options before the verb; `--version` acts by its callback."""
    del version


def main() -> None:
    """The `patchline` command."""
    app(prog_name="patchline")
