"""A group of verbs that are imported when they are run: `patchline --help` must not load a neural network."""

import importlib
from typing import Any, NamedTuple

import typer
from typer.core import TyperCommand

from patchline.cli.errors import PlainErrors


class Verb(NamedTuple):
    """Where a verb lives and what it does, in one line for the list of verbs.

    Attributes:
        module: Holds `command`, a function with typer's annotations, or `app`, a group of verbs of its own.
    """

    module: str
    summary: str


VERBS = {
    "demo": Verb("patchline.cli.demo", "A simulated line, end to end, with a report at the end; needs nothing."),
    "commission": Verb("patchline.cli.commission", "Learn what a good part looks like, from pictures of good parts."),
    "serve": Verb("patchline.cli.serve", "Run the analytics service: judge what the stations of a site send."),
    "edge": Verb("patchline.cli.edge", "Run a station: capture, encode, keep, send, and move the gate."),
    "replay": Verb("patchline.cli.replay", "Play your own pictures through a simulated line and report how it did."),
    "provision": Verb(
        "patchline.cli.provision", "Make a site: authority, certificates, broker settings, access rules."
    ),
    "draw": Verb(
        "patchline.cli.draw", "Draw a folder of parts to try things out on, with exact masks of their defects."
    ),
    "audit": Verb("patchline.cli.audit", "Reconcile the records: is every part judged, or dropped with a reason?"),
    "bench": Verb("patchline.cli.bench", "Measure this machine: benchmark tables, also as JSON."),
    "weights": Verb("patchline.cli.weights", "Backbones: list them, export other taps, fetch published weights."),
}
"""Verb -> where it lives. One file and one line here add a verb."""


class LazyVerbs(PlainErrors):
    """Imports a verb's module only when that verb is asked for."""

    _listing = False

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - click's signature
        """The verbs, in the order a newcomer meets them."""
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - click's signature
        """A verb; while the list of verbs is printed, only its summary."""
        if cmd_name not in VERBS:
            return None
        if self._listing:
            return TyperCommand(cmd_name, help=VERBS[cmd_name].summary)
        return load(cmd_name)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help text without importing any verb."""
        self._listing = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self._listing = False


def load(name: str) -> Any:
    """Import a verb and make a command of it."""
    module = importlib.import_module(VERBS[name].module)
    verb = getattr(module, "app", None)
    if verb is None:
        verb = typer.Typer(rich_markup_mode="rich", add_completion=False)
        verb.command(name)(module.command)
    command: Any = typer.main.get_command(verb)
    command.name = name
    return command
