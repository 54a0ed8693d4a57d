"""Options that belong together, declared once as the fields of a dataclass and used by several commands."""

import inspect
from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from patchline.cli.options import names_of, parameters_of


def with_groups(function: Callable[..., None]) -> Callable[..., None]:
    """A command whose parameters that are option groups become the options that their fields declare."""
    hints = get_type_hints(function, include_extras=True)
    groups = {name: hint for name, hint in hints.items() if is_dataclass(hint) and isinstance(hint, type)}
    parameters: list[inspect.Parameter] = []
    for own in inspect.signature(function).parameters.values():
        if own.name in groups:
            parameters += _options_of(groups[own.name])
        else:
            parameters.append(own.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[own.name]))

    def command(**given: Any) -> None:
        for name, group in groups.items():
            given[name] = group(**{field.name: given.pop(field.name) for field in fields(group)})
        function(**given)

    command.__name__, command.__doc__ = function.__name__, function.__doc__
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return command


def _options_of(group: type) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=_default_of(field), annotation=hints[field.name]
        )
        for field in fields(group)
    ]


def _default_of(field: "Field[Any]") -> Any:
    return inspect.Parameter.empty if field.default is MISSING else field.default


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """What a model is made of: backbone, detector and threshold."""

    backbone: Annotated[
        str,
        typer.Option(
            "--backbone", help="By default the packaged one, else mobilenet_v2; NAME:int8 for a quantised one."
        ),
    ] = ""
    tap: Annotated[list[str] | None, typer.Option("--tap", "--taps", help="Feature map to take; repeat it.")] = None
    edge_backbone: Annotated[
        str, typer.Option("--edge-backbone", help="What stations run for feature codecs; by default --backbone.")
    ] = ""
    edge_tap: Annotated[
        list[str] | None, typer.Option("--edge-tap", "--edge-taps", help="Feature map to take there; repeat it.")
    ] = None
    detector: Annotated[str, typer.Option("--detector", help="Detector.")] = "patchcore"
    parameter: Annotated[
        list[str] | None, typer.Option("--parameter", help="NAME=VALUE of the detector; repeat it.")
    ] = None
    false_reject_rate: Annotated[
        float,
        typer.Option("--false-reject-rate", min=0.0001, max=0.5, help="Share of good parts that may be rejected."),
    ] = 0.01

    @property
    def taps(self) -> tuple[str, ...]:
        """The feature maps to take."""
        return names_of(self.tap)

    @property
    def edge_taps(self) -> tuple[str, ...]:
        """The feature maps to take at the stations."""
        return names_of(self.edge_tap)

    @property
    def parameters(self) -> dict[str, str]:
        """The detector's parameters."""
        return parameters_of(self.parameter or [])


@dataclass(frozen=True, kw_only=True)
class ChoiceOptions:
    """What is chosen by planted defects."""

    false_loss: Annotated[
        float | None,
        typer.Option(
            "--false-loss",
            min=0.0001,
            max=0.5,
            help="Take the smallest codec that loses at most this much image AUROC against the original, on planted "
            "defects; of those given, or of a ladder of WebP qualities.",
        ),
    ] = None
    tune: Annotated[
        bool,
        typer.Option(
            "--tune",
            help="Choose the input size and the detector's options by what finds defects planted into good pictures; "
            "what is given as an option stays.",
        ),
    ] = False


@dataclass(frozen=True, kw_only=True)
class FittingOptions:
    """How a model is fitted and calibrated."""

    folds: Annotated[int, typer.Option("--folds", min=2, help="Parts for scores of unseen pictures.")] = 4
    seed: Annotated[int, typer.Option("--seed", help="Seed of everything random.")] = 0
    threads: Annotated[int, typer.Option("--threads", min=1, help="CPU threads.")] = 1


@dataclass(frozen=True, kw_only=True)
class DownloadOptions:
    """What a station can receive."""

    uplink: Annotated[
        str, typer.Option("--uplink", help="From station to broker, for the summary, such as 1Mbit/s.")
    ] = "100kB/s"
    asset_budget_bytes: Annotated[
        int,
        typer.Option(
            "--asset-budget-bytes", min=0, help="Refuse codecs whose files are larger for a station to fetch."
        ),
    ] = 16_000_000


@dataclass(frozen=True, kw_only=True)
class LineOptions:
    """How a simulated line produces."""

    stations: Annotated[int, typer.Option("--stations", min=1, max=64, help="Stations of the line.")] = 4
    takt: Annotated[float, typer.Option("--takt", min=0, help="Seconds from one part of a station to its next.")] = 0.5
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Play so many parts; pictures may come again.")
    ] = None
    deadline: Annotated[float, typer.Option("--deadline", min=0.01, help="Seconds until a gate acts alone.")] = 2.0
    maps: Annotated[str, typer.Option("--maps", help="Whose anomaly maps: all, anomalous, none.")] = "all"
    kill: Annotated[
        list[str] | None, typer.Option("--kill", help="SIGKILL and restart: analytics@SECONDS or broker@SECONDS.")
    ] = None


@dataclass(frozen=True, kw_only=True)
class LimitOptions:
    """How a simulated line is slower than this machine."""

    uplink: Annotated[
        str, typer.Option("--uplink", help="Limits the uplink of each station, such as 100kB/s or 1Mbit/s.")
    ] = ""
    edge_slowdown: Annotated[
        float, typer.Option("--edge-slowdown", min=1, help="Makes the stations' computers so many times slower.")
    ] = 1.0
    constrained_by: Annotated[
        str, typer.Option("--constrained-by", help="What applies these limits: auto, kernel, program.")
    ] = "auto"


@dataclass(frozen=True, kw_only=True)
class SigningOptions:
    """Whether artifacts and profiles are signed."""

    signed: Annotated[
        bool, typer.Option("--signed", help="Sign artifacts and profiles, with a key made for the run; all ask for it.")
    ] = False
    signing_key: Annotated[
        Path | None,
        typer.Option("--signing-key", help="The same with a site's key; it must have signed an --artifact."),
    ] = None


@dataclass(frozen=True, kw_only=True)
class BrokerOptions:
    """Where the broker of a site listens and writes."""

    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="The broker's.")] = 8883
    listen: Annotated[str, typer.Option("--listen", help="Address the broker listens on; all by default.")] = ""
    broker_folder: Annotated[
        str, typer.Option("--broker-folder", help="Where broker/ will lie on its machine; where it is by default.")
    ] = ""
    data_folder: Annotated[
        str, typer.Option("--data-folder", help="Where the broker may write; data/ in its folder by default.")
    ] = ""
