"""How a benchmark runs as a program of its own, beside the verbs of the command line."""

from collections.abc import Callable
from typing import Any

import typer
from rich.console import Console

from patchline.wire.errors import EXIT_MISCONFIGURED, MisconfiguredError


def run(command: Callable[..., Any]) -> None:
    """Run a command; a wrong setting ends it with one sentence and exit code 2."""
    try:
        typer.run(command)
    except MisconfiguredError as error:
        Console(stderr=True).print(str(error))
        raise SystemExit(EXIT_MISCONFIGURED) from error
