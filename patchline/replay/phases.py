"""Progress bars of a long preparation."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

OnPhase = Callable[[str, int, int], None]
"""Receives the phase, the steps done, and the steps in all."""


@contextmanager
def phases(console: Console) -> Iterator[OnPhase]:
    """A progress bar for every phase of a long preparation; all are removed at the end."""
    estimates = (TimeElapsedColumn(), TimeRemainingColumn())
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), *estimates)
    progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    tasks: dict[str, TaskID] = {}

    def show(phase: str, done: int, total: int) -> None:
        progress.start()
        if phase not in tasks:
            tasks[phase] = progress.add_task(phase, total=total)
        progress.update(tasks[phase], completed=done, total=total)

    try:
        yield show
    finally:
        if tasks:
            progress.stop()
