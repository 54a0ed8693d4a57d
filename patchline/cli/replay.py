"""`patchline replay`: pictures with known truth through a real line, with the books closed at the end."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer
from rich.console import Console

from patchline.cli.options import names_of, parameters_of, size_of
from patchline.cli.run_line import conclude, play
from patchline.cli.threads import bound_threads
from patchline.replay.phases import phases
from patchline.replay.rates import bytes_per_second_of
from patchline.wire.errors import MisconfiguredError

if TYPE_CHECKING:
    from patchline.replay.constraints import By
    from patchline.replay.scenario import MapPolicy

MAPS = ("all", "anomalous", "none")
CONSTRAINED = ("auto", "kernel", "program")


def command(
    data: Annotated[
        Path, typer.Option("--data", help="A category's folder in MVTec's layout, with test/.", show_default=False)
    ],
    report: Annotated[Path, typer.Option("--report", help="New folder for everything of the run.", show_default=False)],
    *,
    stations: Annotated[int, typer.Option("--stations", min=1, max=64, help="Stations of the line.")] = 4,
    takt: Annotated[float, typer.Option("--takt", min=0, help="Seconds from one part of a station to its next.")] = 0.5,
    codec: Annotated[
        str, typer.Option("--codec", help="What the stations encode with; webp:80 unless an artifact says otherwise.")
    ] = "",
    backbone: Annotated[str, typer.Option("--backbone", help="By default the packaged one, else mobilenet_v2.")] = "",
    tap: Annotated[list[str] | None, typer.Option("--tap", "--taps", help="Feature map to take; repeat it.")] = None,
    edge_backbone: Annotated[
        str, typer.Option("--edge-backbone", help="What stations run for a feature codec; by default --backbone.")
    ] = "",
    edge_tap: Annotated[
        list[str] | None, typer.Option("--edge-tap", "--edge-taps", help="Feature map to take there; repeat it.")
    ] = None,
    detector: Annotated[str, typer.Option("--detector", help="Detector.")] = "patchcore",
    parameter: Annotated[
        list[str] | None, typer.Option("--parameter", help="NAME=VALUE of the detector; repeat it.")
    ] = None,
    input_size: Annotated[str, typer.Option("--input-size", help="HEIGHTxWIDTH of every picture.")] = "224x224",
    false_reject_rate: Annotated[
        float, typer.Option("--false-reject-rate", min=0.0001, max=0.5, help="Share of good parts to give up.")
    ] = 0.01,
    seed: Annotated[int, typer.Option("--seed", help="Of the parts' order and of everything random.")] = 0,
    artifact: Annotated[
        Path | None, typer.Option("--artifact", help="An artifact, or its folder, instead of commissioning first.")
    ] = None,
    backbone_threads: Annotated[int, typer.Option("--backbone-threads", min=1, help="CPU threads of the service.")] = 1,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Play so many parts; pictures may come again.")
    ] = None,
    maps: Annotated[str, typer.Option("--maps", help=f"Whose anomaly maps: {', '.join(MAPS)}.")] = "all",
    deadline: Annotated[float, typer.Option("--deadline", min=0.01, help="Seconds until a gate acts alone.")] = 2.0,
    uplink: Annotated[
        str, typer.Option("--uplink", help="Plays a thin line from each station, such as 100kB/s or 1Mbit/s.")
    ] = "",
    edge_slowdown: Annotated[
        float, typer.Option("--edge-slowdown", min=1, help="Plays computers so many times slower at the stations.")
    ] = 1.0,
    constrained_by: Annotated[
        str,
        typer.Option("--constrained-by", help=f"Who plays thin lines and slow computers: {', '.join(CONSTRAINED)}."),
    ] = "auto",
    signed: Annotated[
        bool, typer.Option("--signed", help="Sign artifacts and profiles, with a key made for the run; all ask for it.")
    ] = False,
    signing_key: Annotated[
        Path | None,
        typer.Option("--signing-key", help="The same with a site's key; it must have signed an --artifact."),
    ] = None,
    kill: Annotated[
        list[str] | None, typer.Option("--kill", help="SIGKILL and restart: analytics@SECONDS or broker@SECONDS.")
    ] = None,
) -> None:
    r"""Play a folder of pictures through a simulated line and report how every part was judged.

    Learns from train/good, deals test/ to the stations in a seeded order, starts a broker, the service and one process
    a station, and joins the truth with every verdict seen. Exit code 0 only if every part has exactly one verdict.

    [bold]Examples[/bold]

        patchline replay --data pictures/bottle --stations 4 --codec webp:80 \
            --report report

        patchline replay --data pictures/bottle --stations 2 --takt 0.25 \
            --kill analytics@5 --kill broker@10 --report report

        patchline replay --data pictures/bottle --stations 1 --takt 3 \
            --uplink 100kB/s --edge-slowdown 3 --report report

        patchline replay --data pictures/bottle --artifact artifacts \
            --codec webp:60 --limit 20 --report report

        patchline replay --data pictures/bottle --artifact artifacts \
            --signing-key site/signing/signing.key --report report
    """
    bound_threads(backbone_threads)
    from patchline.replay.replay import ReplayOptions, prepare  # noqa: PLC0415 - `--help` must not load a neural network
    from patchline.replay.scenario import Kill  # noqa: PLC0415 - the same

    if maps not in MAPS:
        raise MisconfiguredError(f"{maps!r} is no choice of maps", where="--maps", remedy=f"use {', '.join(MAPS)}")
    if constrained_by not in CONSTRAINED:
        raise MisconfiguredError(
            f"{constrained_by!r} can hold no station back",
            where="--constrained-by",
            remedy=f"use {', '.join(CONSTRAINED)}",
        )
    console = Console(stderr=True)
    options = ReplayOptions(
        data=data,
        report=report,
        stations=stations,
        takt_seconds=takt,
        codec=codec or None,
        backbone=backbone,
        taps=names_of(tap),
        edge_backbone=edge_backbone,
        edge_taps=names_of(edge_tap),
        detector=detector,
        parameters=parameters_of(parameter or []),
        input_size=size_of(input_size),
        false_reject_rate=false_reject_rate,
        seed=seed,
        artifact=artifact,
        backbone_threads=backbone_threads,
        limit=limit,
        kills=tuple(Kill.parse(each) for each in kill or []),
        maps=cast("MapPolicy", maps),
        deadline_seconds=deadline,
        edge_slowdown=edge_slowdown,
        uplink_bytes_per_second=bytes_per_second_of(uplink) if uplink else None,
        constrained_by=cast("By", constrained_by),
        signed=signed,
        signing_key=signing_key,
    )
    with phases(console) as on_phase:
        scenario = prepare(options, on_phase=on_phase)
    conclude(play(scenario, seed=seed, console=console), report)
