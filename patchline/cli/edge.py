"""`patchline edge`: a station of the line."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from edge_node.settings import EdgeSettings
from patchline.cli.threads import bound_threads

EXAMPLES = """Run a station: capture, encode, keep, send, and move the gate, until SIGTERM or Ctrl-C.

[bold]Examples[/bold]

    patchline edge --config edge.toml
    patchline edge --config edge.toml --check
    PATCHLINE_EDGE_BROKER__HOST=10.0.0.5 patchline edge --config edge.toml

Exit codes: 0 stopped in order · 2 a setting, or a file it names, is wrong · 3 the outbox's disk, or verdicts that were
waited for, stayed away.
"""


def command(
    config: Annotated[Path, typer.Option(help="The station's settings, a TOML file.")],
    *,
    check: Annotated[bool, typer.Option("--check", help="Only say whether the station could start.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Log more.")] = False,
) -> None:
    """Run a station: capture, encode, keep, send, and move the gate, until SIGTERM or Ctrl-C."""
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
    )
    settings = EdgeSettings.load(config)
    bound_threads(settings.backbone_threads)
    from edge_node.app import check as check_station  # noqa: PLC0415 - imports numpy, which reads its threads then
    from edge_node.app import run  # noqa: PLC0415 - the same

    if check:
        check_station(settings)
        typer.echo(f"{config}: station {settings.station} could start")
        return
    code = run(settings)
    if code:
        raise typer.Exit(code)


command.__doc__ = EXAMPLES
