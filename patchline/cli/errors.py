"""Errors on the command line: one line, a documented exit code, no traceback."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperGroup

from patchline.wire.errors import (
    EXIT_MISCONFIGURED,
    EXIT_UNAVAILABLE,
    MisconfiguredError,
    UnavailableError,
    UnreadableError,
)

EXIT_INTERRUPTED = 130
"""What shells expect of a program that Ctrl-C ended."""


@contextmanager
def told_plainly() -> Iterator[None]:
    """Run a block whose own errors end the program in one red line on stderr; anything else is a bug and stays loud."""
    try:
        yield
    except (MisconfiguredError, UnreadableError) as error:
        _say(error)
        raise SystemExit(EXIT_MISCONFIGURED) from error
    except UnavailableError as error:
        _say(error)
        raise SystemExit(EXIT_UNAVAILABLE) from error
    except KeyboardInterrupt as error:
        typer.secho("interrupted", err=True)
        raise SystemExit(EXIT_INTERRUPTED) from error


class PlainErrors(TyperGroup):
    """A group of commands that print their errors in one line."""

    def invoke(self, ctx: Any) -> Any:
        """Run the chosen command."""
        with told_plainly():
            return super().invoke(ctx)


def _say(error: Exception) -> None:
    sentence = " ".join(str(error).split())
    typer.secho(f"error: {sentence}", fg=typer.colors.RED, bold=True, err=True)
