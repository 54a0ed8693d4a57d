"""What to commission, and how its progress is reported."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from patchline.wire.topics import Station

DEFAULT_ASSET_BUDGET_BYTES = 16_000_000
"""MobileNetV2's file and a small codec's; at 100 kB/s a station fetches that much in two minutes and a half."""


class OnPhase(Protocol):
    """Receives the progress of commissioning."""

    def __call__(self, phase: str, done: int, total: int, /) -> None:
        """So many steps of a phase are done; a phase ends when `done` is `total`."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to commission.

    Attributes:
        data: Folder of good pictures, plain or in MVTec's layout.
        codecs: Full names, the first one is the one to use.
        backbone: A name of the registry; the packaged one, or MobileNetV2, when empty.
        taps: Feature maps taken; the backbone's default ones when empty.
        parameters: The detector's own.
        folds: Parts the pictures are split into for scores of pictures the detector has not seen; 0 leaves these, and
            with them the threshold, out: for patchline.bench.
        edge_backbone: What the edge runs for feature codecs; `backbone` when empty.
        edge_taps: Taken there; `taps` when empty, or the default ones of an `edge_backbone`.
        uplink_bytes_per_second: The station's; what the budget's seconds are told by.
        asset_budget_bytes: How much the station may have to fetch before it can encode.
        false_loss: Of the codecs, put the smallest one first that loses at most this much image AUROC against the
            original, and leave out those that are larger; see `trials.codecs`. None takes the codecs as they come.
        tune: Choose among the detector's options, those in `parameters` excepted, by what finds drawn defects best.
        tune_input: Before that, choose another input size than `input_size` where it is worth what it costs.
        skip_unreadable: Leave out pictures that cannot be read instead of refusing the folder.
        threads: CPU threads of the backbone.
    """

    data: Path
    station: Station
    codecs: tuple[str, ...]
    out: Path
    backbone: str = ""
    taps: tuple[str, ...] = ()
    detector: str = "patchcore"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    input_size: tuple[int, int] = (224, 224)
    target_false_reject_rate: float = 0.01
    folds: int = 4
    seed: int = 0
    edge_backbone: str = ""
    edge_taps: tuple[str, ...] = ()
    uplink_bytes_per_second: float = 100_000.0
    asset_budget_bytes: int = DEFAULT_ASSET_BUDGET_BYTES
    false_loss: float | None = None
    tune: bool = False
    tune_input: bool = False
    skip_unreadable: bool = False
    threads: int = 1
