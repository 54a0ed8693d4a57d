"""`patchline serve`: the analytics service."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from patchline.cli.threads import bound_threads

EXAMPLES = r"""Judge what the stations of a site send, until SIGTERM.

[bold]Examples[/bold]

    patchline serve --config analytics.toml
    patchline serve --config analytics.toml --check
    PATCHLINE_ANALYTICS_BROKER__PASSWORD=secret patchline serve \
        --config analytics.toml

Exit codes: 0 stopped in order · 2 a setting, artifact or backbone is wrong · 3 the records are away.
"""


def command(
    config: Annotated[Path, typer.Option("--config", help="TOML file of settings.", show_default=False)],
    *,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Only look at settings, artifacts and backbones; each file must be usable. Needs no broker."
        ),
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Log details, too.")] = False,
) -> None:
    """Judge what the stations of a site send, until SIGTERM."""
    from analytics_service.settings import read_settings  # noqa: PLC0415 - the base install has no analytics

    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
    )
    wanted = read_settings(config)
    bound_threads(wanted.worker.threads)
    from analytics_service import app  # noqa: PLC0415 - imports numpy, whose threads are bounded only now

    if check:
        checked = app.check(wanted)
        for unusable in checked.artifact_store.set_aside.values():
            raise unusable
        stations = ", ".join(sorted(checked.artifact_store.profiles)) or "none"
        typer.echo(
            f"{config}: the service could start, with {len(checked.artifact_store.artifacts)} artifacts for {stations}"
        )
        return
    app.run(wanted)


command.__doc__ = EXAMPLES
