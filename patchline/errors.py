"""How the command line tells a person what went wrong: one line, a documented exit code, no traceback."""

from typing import Any

import typer
from typer.core import TyperGroup

from wire_contract.errors import (
    EXIT_MISCONFIGURED,
    EXIT_UNAVAILABLE,
    MisconfiguredError,
    UnavailableError,
    UnreadableError,
)


class PlainErrors(TyperGroup):
    """A group of commands whose own errors end in one red line on stderr; anything else is a bug and stays loud."""

    def invoke(self, ctx: Any) -> Any:
        """Run the chosen command."""
        try:
            return super().invoke(ctx)
        except (MisconfiguredError, UnreadableError) as error:
            _say(error)
            raise typer.Exit(EXIT_MISCONFIGURED) from error
        except UnavailableError as error:
            _say(error)
            raise typer.Exit(EXIT_UNAVAILABLE) from error


def _say(error: Exception) -> None:
    sentence = " ".join(str(error).split())
    typer.secho(f"error: {sentence}", fg=typer.colors.RED, bold=True, err=True)
