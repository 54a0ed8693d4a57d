"""`patchline replay`: pictures with known truth through a real line, reconciled at the end."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer
from rich.console import Console

from patchline.cli.option_groups import LimitOptions, LineOptions, ModelOptions, SigningOptions, with_groups
from patchline.cli.options import one_of, size_of
from patchline.cli.run_line import conclude, play
from patchline.cli.threads import bound_threads
from patchline.replay.phases import phases
from patchline.replay.rates import bytes_per_second_of

if TYPE_CHECKING:
    from patchline.replay.constraints import By
    from patchline.replay.replay import ReplayOptions
    from patchline.replay.scenario import MapPolicy

MAPS = ("all", "anomalous", "none")
CONSTRAINED = ("auto", "kernel", "program")


@with_groups
def command(
    data: Annotated[
        Path, typer.Option("--data", help="A category's folder in MVTec's layout, with test/.", show_default=False)
    ],
    report: Annotated[Path, typer.Option("--report", help="New folder for everything of the run.", show_default=False)],
    *,
    line: LineOptions,
    codec: Annotated[
        str, typer.Option("--codec", help="What the stations encode with; webp:80 unless an artifact says otherwise.")
    ] = "",
    model: ModelOptions,
    input_size: Annotated[str, typer.Option("--input-size", help="HEIGHTxWIDTH of every picture.")] = "224x224",
    artifact: Annotated[
        Path | None, typer.Option("--artifact", help="An artifact, or its folder, instead of commissioning first.")
    ] = None,
    limits: LimitOptions,
    signing: SigningOptions,
    backbone_threads: Annotated[int, typer.Option("--backbone-threads", min=1, help="CPU threads of the service.")] = 1,
    seed: Annotated[int, typer.Option("--seed", help="Of the parts' order and of everything random.")] = 0,
) -> None:
    r"""Play a folder of pictures through a simulated line and report how every part was judged.

    Fits on train/good, deals test/ to the stations in a seeded order, starts a broker, the service and one process for
    each station, and joins the truth with every verdict. Exit code 0 only if every part has exactly one verdict.

    [bold]Examples[/bold]

        patchline replay --data pictures/bottle --stations 4 --codec webp:80 \
            --report report

        patchline replay --data pictures/bottle --stations 2 --takt 0.25 \
            --kill analytics@5 --kill broker@10 --report report

        patchline replay --data pictures/bottle --stations 1 --takt 3 \
            --uplink 100kB/s --edge-slowdown 3 --report report

        patchline replay --data pictures/bottle --artifact artifacts \
            --signing-key site/signing/signing.key --report report
    """
    bound_threads(backbone_threads)
    from patchline.replay.replay import ReplayOptions, prepare  # noqa: PLC0415 - `--help` must not load a neural network

    console = Console(stderr=True)
    options = ReplayOptions(
        data=data,
        report=report,
        codec=codec or None,
        backbone=model.backbone,
        taps=model.taps,
        edge_backbone=model.edge_backbone,
        edge_taps=model.edge_taps,
        detector=model.detector,
        parameters=model.parameters,
        false_reject_rate=model.false_reject_rate,
        input_size=size_of(input_size),
        seed=seed,
        artifact=artifact,
        backbone_threads=backbone_threads,
    )
    options = _on_a_line(options, line, limits, signing)
    with phases(console) as on_phase:
        scenario = prepare(options, on_phase=on_phase)
    conclude(play(scenario, seed=seed, console=console), report)


def _on_a_line(
    options: "ReplayOptions", line: LineOptions, limits: LimitOptions, signing: SigningOptions
) -> "ReplayOptions":
    from patchline.replay.scenario import Kill  # noqa: PLC0415 - `--help` must not load a neural network

    return replace(
        options,
        stations=line.stations,
        takt_seconds=line.takt,
        limit=line.limit,
        kills=tuple(Kill.parse(each) for each in line.kill or []),
        maps=cast("MapPolicy", one_of(MAPS, line.maps, "--maps")),
        deadline_seconds=line.deadline,
        edge_slowdown=limits.edge_slowdown,
        uplink_bytes_per_second=bytes_per_second_of(limits.uplink) if limits.uplink else None,
        constrained_by=cast("By", one_of(CONSTRAINED, limits.constrained_by, "--constrained-by")),
        signed=signing.signed,
        signing_key=signing.signing_key,
    )
