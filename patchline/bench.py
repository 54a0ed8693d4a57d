"""`patchline bench`: benchmark tables, one verb each."""

import typer

from patchline.errors import PlainErrors
from patchline.threads import bound_threads

bound_threads(1)

from benchmarks import backbone, backlog, outbox, throughput  # noqa: E402 - numpy counts its threads once, when it is imported
from benchmarks.detectors import command as detectors  # noqa: E402 - the same
from benchmarks.transmission import command as transmission  # noqa: E402 - the same

_HELP = r"""Measure this machine. Each benchmark prints a table and, with --json FILE, the same figures.

[bold]Examples[/bold]

    patchline bench transmission --data pictures/bottle \
        --json transmission.json --plots plots

    patchline bench detectors --data pictures/bottle \
        --json detectors.json --plots plots

    patchline bench throughput --data pictures/bottle \
        --json throughput.json

    patchline bench backbone --data pictures --json backbone.json

    patchline bench outbox --folder /var/lib/patchline \
        --json outbox.json

    patchline bench backlog --data pictures/bottle --json backlog.json
"""

app = typer.Typer(
    name="bench", cls=PlainErrors, help=_HELP, no_args_is_help=True, rich_markup_mode="rich", add_completion=False
)
app.command("transmission")(transmission.command)
app.command("detectors")(detectors.command)
app.command("throughput")(throughput.command)
app.command("backbone")(backbone.command)
app.command("outbox")(outbox.command)
app.command("backlog")(backlog.command)
