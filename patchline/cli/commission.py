"""`patchline commission`: from a folder of good pictures to a station's artifacts and profile."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from patchline.cli.options import names_of, parameters_of, size_of
from patchline.cli.threads import bound_threads
from patchline.replay.phases import phases
from patchline.replay.rates import bytes_per_second_of
from patchline.runtime.signing import SigningKey
from patchline.wire.topics import Station

if TYPE_CHECKING:
    from patchline.commissioning.commissioned import Commissioned, Rung

ASSET_BUDGET_BYTES = 16_000_000
INPUT_SIZE = "224x224"


def command(
    data: Annotated[
        Path, typer.Option("--data", help="Folder of good pictures: plain, or MVTec's layout.", show_default=False)
    ],
    station: Annotated[str, typer.Option("--station", help="SITE/LINE/STATION.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="Folder of all artifacts of the service.", show_default=False)],
    *,
    codec: Annotated[
        list[str] | None, typer.Option("--codec", help="Codec, such as webp:80; repeat it for a ladder.")
    ] = None,
    backbone: Annotated[
        str,
        typer.Option(
            "--backbone", help="By default the packaged one, else mobilenet_v2; NAME:int8 for a quantised one."
        ),
    ] = "",
    tap: Annotated[list[str] | None, typer.Option("--tap", "--taps", help="Feature map to take; repeat it.")] = None,
    detector: Annotated[str, typer.Option("--detector", help="Detector.")] = "patchcore",
    parameter: Annotated[
        list[str] | None, typer.Option("--parameter", help="NAME=VALUE of the detector; repeat it.")
    ] = None,
    input_size: Annotated[
        str,
        typer.Option(
            "--input-size",
            help="HEIGHTxWIDTH every picture is resized to.",
            show_default=f"{INPUT_SIZE}, or what --tune finds better",
        ),
    ] = "",
    false_reject_rate: Annotated[
        float,
        typer.Option("--false-reject-rate", min=0.0001, max=0.5, help="Share of good parts that may be rejected."),
    ] = 0.01,
    folds: Annotated[int, typer.Option("--folds", min=2, help="Parts for scores of unseen pictures.")] = 4,
    seed: Annotated[int, typer.Option("--seed", help="Seed of everything random.")] = 0,
    threads: Annotated[int, typer.Option("--threads", min=1, help="CPU threads.")] = 1,
    edge_backbone: Annotated[
        str, typer.Option("--edge-backbone", help="What the edge runs for feature codecs; by default --backbone.")
    ] = "",
    edge_tap: Annotated[
        list[str] | None, typer.Option("--edge-tap", "--edge-taps", help="Feature map to take there; repeat it.")
    ] = None,
    uplink: Annotated[
        str, typer.Option("--uplink", help="From station to broker, for the summary, such as 1Mbit/s.")
    ] = "100kB/s",
    asset_budget_bytes: Annotated[
        int,
        typer.Option(
            "--asset-budget-bytes", min=0, help="Refuse codecs whose files are larger for a station to fetch."
        ),
    ] = ASSET_BUDGET_BYTES,
    signing_key: Annotated[
        Path | None,
        typer.Option("--signing-key", help="Sign what is made; PEM of an Ed25519 key, such as provision made."),
    ] = None,
    false_loss: Annotated[
        float | None,
        typer.Option(
            "--false-loss",
            min=0.0001,
            max=0.5,
            help="Take the smallest codec that loses at most this much image AUROC against the original, on drawn "
            "defects; of those given, or of a ladder of WebP qualities.",
        ),
    ] = None,
    tune: Annotated[
        bool,
        typer.Option(
            "--tune",
            help="Choose the input size and the detector's options by what finds defects drawn into good pictures; "
            "what is given as an option stays.",
        ),
    ] = False,
    skip_unreadable: Annotated[
        bool, typer.Option("--skip-unreadable", help="Leave out pictures that cannot be read, and say which.")
    ] = False,
) -> None:
    r"""Learn what a good part looks like, from pictures of good parts.

    Writes an artifact for each codec, and the station's profile. The first codec is the one the station uses; the
    others are the rungs below it. A feature codec learns from the pictures, too: what it learnt, and the backbone
    unless it is the packaged one, are files a station fetches once.

    [bold]Examples[/bold]

        patchline commission --data pictures/bottle \
            --station plant/line1/cam1 --codec webp:80 --out artifacts

        patchline commission --data good/ --station plant/line1/cam1 \
            --codec png --codec webp:60 --parameter coreset_ratio=0.01 \
            --out artifacts

        patchline commission --data good/ --station plant/line1/cam1 \
            --codec features --edge-backbone mobilenet_v2 \
            --edge-taps features.6,features.13 --uplink 100kB/s \
            --out artifacts

        patchline commission --data good/ --station plant/line1/cam1 \
            --false-loss 0.01 --out artifacts
    """
    uplink_rate = bytes_per_second_of(uplink)
    bound_threads(threads)
    from patchline.artifacts.codec_choice import DEFAULT_LADDER  # noqa: PLC0415 - as below
    from patchline.artifacts.signatures import sign  # noqa: PLC0415 - as above
    from patchline.commissioning.commission import Request, commission  # noqa: PLC0415 - imports numpy; no part of the base

    signer = SigningKey(signing_key) if signing_key is not None else None
    console = Console(stderr=True)
    request = Request(
        data=data,
        station=Station.parse(station),
        codecs=tuple(codec or (DEFAULT_LADDER if false_loss is not None else ["webp:80"])),
        false_loss=false_loss,
        out=out,
        backbone=backbone,
        taps=names_of(tap),
        edge_backbone=edge_backbone,
        edge_taps=names_of(edge_tap),
        detector=detector,
        parameters=parameters_of(parameter or []),
        input_size=size_of(input_size or INPUT_SIZE),
        target_false_reject_rate=false_reject_rate,
        folds=folds,
        seed=seed,
        uplink_bytes_per_second=uplink_rate,
        asset_budget_bytes=asset_budget_bytes,
        tune=tune,
        tune_input=tune and not input_size,
        skip_unreadable=skip_unreadable,
        threads=threads,
    )
    with phases(console) as on_phase:
        made = commission(request, on_progress=on_phase)
    if signer is not None:
        sign(out, made.profile, made.profile_path, [rung.artifact.fingerprint for rung in made.rungs], signer)
    _summarise(made, console, uplink_rate)


def _summarise(made: "Commissioned", console: Console, uplink: float) -> None:
    from patchline.artifacts.codec_choice import describe  # noqa: PLC0415 - imports numpy, as above

    for reason in made.skipped:
        console.print(f"left out: {reason}", style="yellow")
    for doubt in made.doubts:
        console.print(doubt, style="yellow")
    if made.choice is not None:
        for tried in made.choice.tried:
            console.print(describe(tried), highlight=False)
        console.print(made.choice.reason, highlight=False)
    table = Table(title=f"{made.profile.station}: {made.images} good picture{'s' * (made.images != 1)}")
    table.add_column("codec")
    facts = [_facts(rung, uplink) for rung in made.rungs]
    for rung in made.rungs:
        table.add_column(rung.codec, justify="right")
    for fact in dict.fromkeys(name for each in facts for name in each):
        table.add_row(fact, *(each.get(fact, "") for each in facts))
    console.print(table)
    _tell_tuning(made, console)
    calibration = made.rungs[0].artifact.calibration
    advice = _more_pictures(made.images, calibration.target_false_reject_rate, calibration.confidence)
    if advice:
        console.print(advice, style="yellow")
    for path in made.paths:
        console.print(str(path), soft_wrap=True, highlight=False)


def _tell_tuning(made: "Commissioned", console: Console) -> None:
    if made.sizing is not None:
        console.print(f"input size: {made.sizing.tuning.reason}", highlight=False)
    for rung in made.rungs:
        if (tuning := rung.artifact.header.tuning) is not None:
            console.print(f"{rung.codec}: {tuning.reason}", highlight=False)


def _more_pictures(images: int, target: float, confidence: float) -> str:
    """What more good pictures would bring, where they would bring something."""
    from patchline.vision.scoring.calibration import false_reject_bound, fewest_pictures  # noqa: PLC0415 - imports numpy, as above

    fewest = fewest_pictures(target, confidence)
    good = f"{fewest.target - images} more good pictures let the threshold hold the {target:.1%} asked for"
    if images < fewest.threshold:
        bound = false_reject_bound(0, fewest.threshold, confidence)
        return (
            f"too few pictures for a threshold, so verdicts will be 'uncalibrated': {fewest.threshold - images} more "
            f"give one that bounds false rejects at {bound:.0%}; {good}"
        )
    return f"the threshold is estimated from {images} pictures; {good}" if images < fewest.target else ""


def _facts(rung: "Rung", uplink: float) -> dict[str, str]:
    calibration = rung.artifact.calibration
    assets = sum(asset.size for asset in rung.assets)
    threshold = "none: too few pictures" if calibration.threshold is None else f"{calibration.threshold:.3f}"
    return {
        "input size": "x".join(map(str, rung.artifact.header.input_size)),
        "backbone": rung.backbone.name,
        "payload, mean": f"{rung.payload_bytes / 1000:.1f} kB",
        "payload at the uplink": f"{rung.payload_bytes / uplink:.3f} s",
        "assets at the uplink": f"{assets / 1000:.0f} kB, {assets / uplink:.0f} s",
        "what was learnt": ", ".join("x".join(map(str, shape)) for shape in rung.bank.values()),
        "artifact": f"{rung.artifact.size_bytes / 1e6:.1f} MB",
        **{name.replace("_", " "): f"{value:.3g}" for name, value in rung.facts.items()},
        "threshold": threshold,
        "false rejects": f"at most {calibration.bound:.1%}",
        **{f"{phase} took": f"{seconds:.1f} s" for phase, seconds in rung.seconds.items()},
    }
