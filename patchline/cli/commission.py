"""`patchline commission`: from a folder of good pictures to a station's artifacts and profile."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from patchline.cli.option_groups import ChoiceOptions, DownloadOptions, FittingOptions, ModelOptions, with_groups
from patchline.cli.options import size_of
from patchline.cli.threads import bound_threads
from patchline.replay.phases import phases
from patchline.replay.rates import bytes_per_second_of
from patchline.runtime.signing import SigningKey
from patchline.wire.topics import Station

if TYPE_CHECKING:
    from patchline.commissioning.commission import Request
    from patchline.commissioning.commissioned import Commissioned, CommissionedCodec

INPUT_SIZE = "224x224"
InputSize = Annotated[
    str,
    typer.Option(
        "--input-size",
        help="HEIGHTxWIDTH every picture is resized to.",
        show_default=f"{INPUT_SIZE}, or what --tune finds better",
    ),
]
Key = Annotated[
    Path | None, typer.Option("--signing-key", help="Sign what is made; PEM of an Ed25519 key, such as provision made.")
]


@with_groups
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
    model: ModelOptions,
    input_size: InputSize = "",
    choice: ChoiceOptions,
    download: DownloadOptions,
    fitting: FittingOptions,
    signing_key: Key = None,
    skip_unreadable: Annotated[
        bool, typer.Option("--skip-unreadable", help="Leave out pictures that cannot be read, and say which.")
    ] = False,
) -> None:
    r"""Fit a model of good parts on pictures of good parts.

    Writes an artifact for each codec, and the station's profile. The first codec is the one the station uses; the
    others are below it on the ladder. A feature codec is fitted on the pictures, too: a station fetches the fitted
    codec, and the backbone unless it is the packaged one, once.

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
    bound_threads(fitting.threads)
    from patchline.commissioning.commission import Request  # noqa: PLC0415 - imports numpy; no part of the base
    from patchline.commissioning.trials.codecs import DEFAULT_LADDER  # noqa: PLC0415 - as above

    request = Request(
        data=data,
        station=Station.parse(station),
        codecs=tuple(codec or (DEFAULT_LADDER if choice.false_loss is not None else ["webp:80"])),
        false_loss=choice.false_loss,
        out=out,
        backbone=model.backbone,
        taps=model.taps,
        edge_backbone=model.edge_backbone,
        edge_taps=model.edge_taps,
        detector=model.detector,
        parameters=model.parameters,
        input_size=size_of(input_size or INPUT_SIZE),
        target_false_reject_rate=model.false_reject_rate,
        folds=fitting.folds,
        seed=fitting.seed,
        uplink_bytes_per_second=bytes_per_second_of(download.uplink),
        asset_budget_bytes=download.asset_budget_bytes,
        tune=choice.tune,
        tune_input=choice.tune and not input_size,
        skip_unreadable=skip_unreadable,
        threads=fitting.threads,
    )
    _commission(request, signing_key)


def _commission(request: "Request", signing_key: Path | None) -> None:
    from patchline.artifacts.signatures import sign  # noqa: PLC0415 - as above
    from patchline.commissioning.commission import commission  # noqa: PLC0415 - as above

    signer = SigningKey(signing_key) if signing_key is not None else None
    console = Console(stderr=True)
    with phases(console) as on_phase:
        made = commission(request, on_progress=on_phase)
    if signer is not None:
        fingerprints = [profile_codec.artifact.fingerprint for profile_codec in made.commissioned_codecs]
        sign(request.out, made.profile, made.profile_path, fingerprints, signer)
    _summarise(made, console, request.uplink_bytes_per_second)


def _summarise(made: "Commissioned", console: Console, uplink: float) -> None:
    for reason in made.skipped:
        console.print(f"left out: {reason}", style="yellow")
    for doubt in made.doubts:
        console.print(doubt, style="yellow")
    if made.choice is not None:
        for tried in made.choice.tried:
            console.print(tried.description, highlight=False)
        console.print(made.choice.reason, highlight=False)
    table = Table(title=f"{made.profile.station}: {made.images} good picture{'s' * (made.images != 1)}")
    table.add_column("codec")
    facts = [_facts(profile_codec, uplink) for profile_codec in made.commissioned_codecs]
    for profile_codec in made.commissioned_codecs:
        table.add_column(profile_codec.codec, justify="right")
    for fact in dict.fromkeys(name for each in facts for name in each):
        table.add_row(fact, *(each.get(fact, "") for each in facts))
    console.print(table)
    _tell_tuning(made, console)
    calibration = made.commissioned_codecs[0].artifact.calibration
    advice = _more_pictures(made.images, calibration.target_false_reject_rate, calibration.confidence)
    if advice:
        console.print(advice, style="yellow")
    for path in made.paths:
        console.print(str(path), soft_wrap=True, highlight=False)


def _tell_tuning(made: "Commissioned", console: Console) -> None:
    if made.input_choice is not None:
        console.print(f"input size: {made.input_choice.reason}", highlight=False)
    for profile_codec in made.commissioned_codecs:
        if (tuning := profile_codec.artifact.header.tuning) is not None:
            console.print(f"{profile_codec.codec}: {tuning.reason}", highlight=False)


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


def _facts(profile_codec: "CommissionedCodec", uplink: float) -> dict[str, str]:
    calibration = profile_codec.artifact.calibration
    assets = sum(asset.size for asset in profile_codec.assets)
    threshold = "none: too few pictures" if calibration.threshold is None else f"{calibration.threshold:.3f}"
    return {
        "input size": "x".join(map(str, profile_codec.artifact.header.input_size)),
        "backbone": profile_codec.backbone.name,
        "payload, mean": f"{profile_codec.payload_bytes / 1000:.1f} kB",
        "payload at the uplink": f"{profile_codec.payload_bytes / uplink:.3f} s",
        "assets at the uplink": f"{assets / 1000:.0f} kB, {assets / uplink:.0f} s",
        "what was learnt": ", ".join("x".join(map(str, shape)) for shape in profile_codec.bank.values()),
        "artifact": f"{profile_codec.artifact.size_bytes / 1e6:.1f} MB",
        **{name.replace("_", " "): f"{value:.3g}" for name, value in profile_codec.facts.items()},
        "threshold": threshold,
        "false rejects": f"at most {calibration.bound:.1%}",
        **{f"{phase} took": f"{seconds:.1f} s" for phase, seconds in profile_codec.seconds.items()},
    }
