"""What `replay` and `demo` share: a live table, and the result on the terminal."""

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import typer
from rich.console import Console
from rich.live import Live

if TYPE_CHECKING:
    from patchline.replay.display import View
    from patchline.replay.scenario import Scenario
    from patchline.replay.summary import Summary

EXIT_NOT_PROVEN = 1
"""The line ran, and not every part has exactly one verdict."""


def play(scenario: "Scenario", *, seed: int, console: Console) -> "Summary":
    """Run a line with a live table and write its results.

    Args:
        scenario: What to run.
        seed: Written into the report.
        console: Where the table lives.

    Raises:
        MisconfiguredError: A program refused its settings, or an extra is missing.
        UnavailableError: A program did not start or died by itself.
    """
    from patchline.bench.stamp import stamp  # noqa: PLC0415 - `--help` must not load a neural network
    from patchline.replay.display import draw  # noqa: PLC0415
    from patchline.replay.line import Line  # noqa: PLC0415
    from patchline.replay.results import write_results  # noqa: PLC0415

    if console.is_terminal:
        with Live(console=console, transient=True, auto_refresh=False) as live:
            seen = Line(scenario, on_view=lambda view: live.update(draw(view), refresh=True)).run()
    else:
        seen = Line(scenario, on_view=_Milestones(console)).run()
    with console.status("measuring and writing the report"):
        return write_results(scenario, seen, msgspec.to_builtins(stamp(seed=seed, broker=seen.broker)))


class _Milestones:
    """The line's progress where nothing can be drawn over, such as in a log: one line every tenth of the parts."""

    def __init__(self, console: Console) -> None:
        self._console, self._told, self._news = console, 0, 0

    def __call__(self, view: "View") -> None:
        """Say what is new, if it is worth a line."""
        planned = sum(station.planned for station in view.stations.values())
        judged = sum(station.tally.judged for station in view.stations.values())
        for sentence in view.news[self._news :]:
            self._console.print(sentence, highlight=False)
        self._news = len(view.news)
        if judged * 10 // planned > self._told:
            self._told = judged * 10 // planned
            self._console.print(f"{view.seconds:.0f} s: {judged} of {planned} parts judged", highlight=False)


def conclude(summary: "Summary", directory: Path) -> None:
    """Say how the run went and where the report is, and end with the exit code that goes with it."""
    from patchline.replay.report.wording import findings, headline  # noqa: PLC0415
    from patchline.replay.results import PAGE_FILE  # noqa: PLC0415 - `--help` must not load a neural network

    console = Console(soft_wrap=True)
    console.print(headline(summary), style="bold", highlight=False)
    for sentence in findings(summary):
        console.print(f"  {sentence}", highlight=False)
    figures = {
        "image AUROC": (summary.image_auroc, "{:.4f}"),
        "pixel AUROC": (summary.pixel_auroc, "{:.4f}"),
        "pixel F1": (summary.pixel_f1, "{:.3f}"),
        "AUPRO": (summary.aupro, "{:.3f}"),
        "parts/s": (summary.parts_per_second, "{:.2f}"),
        "payload kB": (summary.payload_bytes and summary.payload_bytes.mean / 1000, "{:.1f}"),
        "p95 latency ms": (summary.latency_seconds and summary.latency_seconds.p95 * 1000, "{:.0f}"),
    }
    told = [f"{name} {form.format(value)}" for name, (value, form) in figures.items() if value is not None]
    console.print("  " + " · ".join(told), highlight=False)
    for fault in summary.faults:
        console.print(f"  {fault}", style="red", highlight=False)
    console.print(f"report: {directory / PAGE_FILE}", highlight=False)
    if not summary.proven:
        raise typer.Exit(EXIT_NOT_PROVEN)
