"""`patchline bench`: benchmark tables, one command each."""

import typer

from patchline.cli.errors import PlainErrors
from patchline.cli.threads import bound_threads

bound_threads(1)

from patchline.bench import throughput  # noqa: E402 - after the bound on threads
from patchline.bench.detectors import command as detectors  # noqa: E402 - the same
from patchline.bench.transmission import command as transmission  # noqa: E402 - the same

_HELP = r"""Measure this machine. Each benchmark prints a table and, with --json FILE, the same figures.

[bold]Examples[/bold]

    patchline bench transmission --data pictures/bottle \
        --json transmission.json --plots plots

    patchline bench detectors --data pictures/bottle \
        --json detectors.json --plots plots

    patchline bench throughput --data pictures/bottle \
        --json throughput.json

"""

app = typer.Typer(
    name="bench", cls=PlainErrors, help=_HELP, no_args_is_help=True, rich_markup_mode="rich", add_completion=False
)
app.command("transmission")(transmission.command)
app.command("detectors")(detectors.command)
app.command("throughput")(throughput.command)
