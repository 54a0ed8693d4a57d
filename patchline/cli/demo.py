"""`patchline demo`: what a newcomer sees first."""

import time
import webbrowser
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from patchline.cli.run_line import conclude, play
from patchline.cli.threads import bound_threads
from patchline.replay.phases import phases


def command(
    *,
    seconds: Annotated[float, typer.Option("--seconds", min=2, help="How long the line produces.")] = 40.0,
    stations: Annotated[int, typer.Option("--stations", min=1, max=16, help="Stations of the line.")] = 2,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Another seed draws other parts.")] = 0,
    report: Annotated[
        Path | None, typer.Option("--report", help="New folder for everything of the run; by default one in runs/.")
    ] = None,
    codec: Annotated[str, typer.Option("--codec", help="What the stations encode with.")] = "webp:80",
    backbone: Annotated[str, typer.Option("--backbone", help="By default the packaged one, else mobilenet_v2.")] = "",
    open_report: Annotated[bool, typer.Option("--open", help="Show the report in the browser.")] = False,
) -> None:
    """Run a simulated line from end to end: cameras, a thin link, a broker, the service, verdicts and a report.

    Draws parts, learns from good ones, then lets every station produce good and defective ones. Each part must get
    exactly one verdict; the exit code is 0 only then.

    [bold]Examples[/bold]

        patchline demo

        patchline demo --stations 4 --seconds 60 --open
    """
    bound_threads(1)
    from patchline.replay.broker import find_kind  # noqa: PLC0415 - `--help` must not load a neural network
    from patchline.replay.demo import DemoOptions, prepare  # noqa: PLC0415 - the same

    console = Console(stderr=True)
    if find_kind() == "amqtt":
        console.print("Mosquitto is not installed: the embedded broker amqtt takes its place (MQTT 3.1.1)")
    directory = report or Path("runs") / time.strftime("demo-%Y%m%d-%H%M%S")
    options = DemoOptions(
        report=directory, seconds=seconds, stations=stations, seed=seed, codec=codec, backbone=backbone
    )
    with phases(console) as on_phase:
        scenario = prepare(options, on_phase=on_phase)
    summary = play(scenario, seed=seed, console=console)
    if open_report:
        webbrowser.open((directory / "report.html").resolve().as_uri())
    conclude(summary, directory)
