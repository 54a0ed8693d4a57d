"""`patchline bench`: benchmark tables, one verb each."""

import typer

from benchmarks import throughput
from patchline.errors import PlainErrors

_HELP = """Measure this machine. Each benchmark prints a table and, with --json FILE, the same figures.

[bold]Example[/bold]

    patchline bench throughput --data pictures/bottle --json throughput.json
"""

app = typer.Typer(name="bench", cls=PlainErrors, help=_HELP, no_args_is_help=True, rich_markup_mode="rich")
app.command("throughput")(throughput.command)


@app.callback()
def group() -> None:
    """A group even while it has one verb; its help text is the application's."""
