"""One row a scenario: what it finds, what it costs, how far that is from the original, and what the paper has."""

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from patchline.bench.transmission import paper
from patchline.bench.transmission.accuracy import Examined, loss
from patchline.bench.transmission.commissioned import Ready
from patchline.bench.transmission.scenarios import TRUNK
from patchline.bench.transmission.wire import Played

STANDS_FOR = {TRUNK: "WideResNet-50-2: the same channels and strides, other weights"}


def row_of(
    ready: Ready, category: str, examined: Mapping[str, Examined], played: Mapping[str, Played], *, uplink: float
) -> dict[str, Any]:
    """A scenario's row.

    Args:
        ready: The scenario.
        category: The category's name.
        examined: What it and its reference found, by name.
        played: What scenarios took on the line, by name; those that were not played are missing.
        uplink: Bytes a second, for the seconds a station fetches its assets.
    """
    scenario, mine = ready.scenario, examined[ready.name]
    row: dict[str, Any] = {
        "scenario": ready.name,
        "category": category,
        "codec": scenario.codec,
        "backbone": scenario.backbone,
        "backbone_at": "edge" if scenario.at_edge else "service",
        "taps": list(ready.profile_codec.backbone.taps),
        "detector": scenario.detector,
        **mine.accuracy,
        "reference": scenario.reference,
        "losses": loss(mine, examined[scenario.reference]),
        "payload_bytes": {
            "mean": float(mine.payload_bytes.mean()),
            "p95": float(np.quantile(mine.payload_bytes, 0.95)),
        },
        "asset_bytes": ready.asset_bytes,
        "asset_seconds": ready.asset_bytes / uplink,
        "artifact_bytes": ready.profile_codec.artifact.size_bytes,
        "commission_seconds": ready.seconds,
    }
    if scenario.backbone in STANDS_FOR:
        row["stands_for"] = STANDS_FOR[scenario.backbone]
    if mine.edge_ratio is not None:
        row["edge_ratio"] = mine.edge_ratio
    if ready.name in played:
        row |= _live(played[ready.name], _original(scenario.reference, played))
    published = paper.of_column(scenario.paper)
    return {**row, "paper": published} if published else row


def _live(played: Played, original: Played | None) -> dict[str, Any]:
    told: dict[str, Any] = {
        "parts": played.parts,
        "takt_seconds": played.takt_seconds,
        **{figure: msgspec.to_builtins(spread) for figure, spread in played.seconds.items()},
        "wire_bytes": msgspec.to_builtins(played.wire_bytes),
        "repeated": played.repeated,
        "faults": played.faults,
    }
    if original is not None and "total_seconds" in original.seconds:
        before, now = original.seconds["total_seconds"].p50, played.seconds["total_seconds"].p50
        told["change"] = now / before - 1.0
    return told


def _original(reference: str, played: Mapping[str, Played]) -> Played | None:
    """What a change of time is compared with: the original picture, sent to the same kind of server."""
    return played.get(reference if reference.startswith("original") else "original")
