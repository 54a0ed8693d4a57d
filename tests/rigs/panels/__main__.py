"""`python -m tests.rigs.panels`: which sample each query of each panel returns, and a drawing of every panel."""

import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from dashboards.write import DASHBOARDS
from patchline.bench.stamp import stamp
from tests.rigs.panels.answers import Answer, ask
from tests.rigs.panels.drawing import draw, shown
from tests.rigs.panels.watched_line import WatchedLine

HEAD = """\
# What each panel's query returned

Written by `python -m tests.rigs.panels`: two stations with drawn parts, Mosquitto, the service and Prometheus as real
processes for {seconds:.0f} s, the broker killed for 4 s in the middle, every query of every panel executed with all
stations chosen. Grafana itself was not available: the JSON was checked field by field by tests, never by Grafana. Shown
is the last sample of the first series. `0` under a panel that says *zero is good* or *must read 0* is the answer it
should have; certificates read 0 because this line is on loopback without TLS. Prometheus 2.42; {machine}, shared with
other work: the times say nothing of the program's speed.
"""


def page(answers: Mapping[str, Sequence[Answer]], seconds: float) -> str:
    """The list of panels, each query with a sample of its answer."""
    machine = stamp(seed=7).machine
    parts = [HEAD.format(seconds=seconds, machine=f"{machine['processor']}, {machine['cores']} cores")]
    for name, found in answers.items():
        parts.append(f"\n## {DASHBOARDS[name].title}\n\n| panel | query | series | sample |\n|---|---|---|---|\n")
        for answer in found:
            for query, series in zip(answer.panel.queries, answer.series, strict=True):
                sample = "**nothing**"
                if series:
                    value = shown(series[0].points[-1][1], answer.panel.unit)
                    sample = f"{series[0].legend}: {value}"
                expression = query.expression.replace("|", "\\|")
                parts.append(f"| {answer.panel.title} | `{expression}` | {len(series)} | {sample} |\n")
    return "".join(parts)


def main(
    *,
    seconds: Annotated[float, typer.Option("--seconds", min=20, help="How long parts pass.")] = 120.0,
    out: Annotated[Path, typer.Option("--out", help="Folder for reference/panels.md and pictures/.")] = Path("docs"),
) -> None:
    """Run every query of every panel against a real line, list the answers and draw the panels.

    Exit code 0 only if every query returned something.
    """
    console = Console()
    with tempfile.TemporaryDirectory(prefix="patchline-panels-") as place:
        line = WatchedLine(Path(place))
        with line.running():
            began = time.time()
            line.play(seconds)
            answers = {name: ask(line.address, board, began=began) for name, board in DASHBOARDS.items()}
    (out / "pictures").mkdir(parents=True, exist_ok=True)
    (out / "reference").mkdir(parents=True, exist_ok=True)
    (out / "reference" / "panels.md").write_text(page(answers, seconds), encoding="utf-8")
    for name, board in DASHBOARDS.items():
        draw(board, answers[name], out / "pictures" / f"panels-{name}.webp")
    queries = sum(len(answer.panel.queries) for found in answers.values() for answer in found)
    empty = [(answer.panel.title, query) for found in answers.values() for answer in found for query in answer.empty]
    for title, query in empty:
        console.print(f"{title}: nothing for {query.expression}", markup=False)
    console.print(f"{queries - len(empty)} of {queries} queries returned data")
    raise typer.Exit(1 if empty else 0)


if __name__ == "__main__":
    typer.run(main)
