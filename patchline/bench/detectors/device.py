"""The same table from the torch path, on a GPU: backbone, search and map stay there."""

# mypy: allow-untyped-calls

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from patchline.replay.phases import OnPhase
from patchline.vision.backbones import BACKBONES
from patchline.vision.pixels.arrays import Size
from patchline.wire.errors import MisconfiguredError, missing_extra

NORMAL_PICTURES = 1_000_000
"""All there are."""
BATCHES = (1, 8, 32, 128)


def measure_on_device(
    data: Path,
    detectors: Sequence[str],
    backbones: Sequence[str],
    *,
    device: str,
    size: Size,
    seed: int,
    on_phase: OnPhase,
) -> Iterator[list[dict[str, Any]]]:
    """Rows of detectors at their papers' 10 %, by `patchline.bench.gpu`, in half precision.

    Raises:
        MisconfiguredError: torch is not installed, there is no such device, or a detector has no torch path.
    """
    try:
        import torch  # noqa: PLC0415 - an extra

        from patchline.bench.gpu.measure import DETECTORS, Effort, measure  # noqa: PLC0415 - needs torch
        from patchline.bench.gpu.networks import contestant  # noqa: PLC0415 - as above
        from patchline.bench.gpu.pictures import of_category  # noqa: PLC0415 - as above
    except ImportError as error:
        raise missing_extra("torch", "torch") from error
    if not torch.cuda.is_available():
        raise MisconfiguredError(
            f"there is no device {device!r} that torch can use", where="--device", remedy="leave it at cpu"
        )
    if unknown := [name for name in detectors if name not in DETECTORS]:
        raise MisconfiguredError(
            f"{unknown[0]!r} has no torch path", where="--detector", remedy=f"use some of: {', '.join(DETECTORS)}"
        )
    pictures = of_category(data, size, normal=NORMAL_PICTURES, test=NORMAL_PICTURES, seed=seed)
    effort = Effort(batches=BATCHES, seconds=0.3, rounds=7, recorded=True)
    for name in backbones:
        fast = contestant(name, device=device, precision="float16", compiled=False, seed=seed)
        exact = contestant(name, device=device, precision="float32", compiled=False, seed=seed)
        rows = []
        for done, detector in enumerate(detectors):
            on_phase(f"{name}: measure", done, len(detectors))
            measured = measure(detector, fast, exact, pictures, effort, seed=seed)
            rows.append(row_of(measured, category=pictures.name, size=size, device=torch.cuda.get_device_name(device)))
        on_phase(f"{name}: measure", len(detectors), len(detectors))
        yield rows


def row_of(measured: Sequence[Mapping[str, Any]], *, category: str, size: Size, device: str) -> dict[str, Any]:
    """A detector's rows of `patchline.bench.gpu`, one a batch size, as one of this table.

    The seconds of stages are those of a batch of one; waiting for the next picture to arrive is part of the latency.
    """
    one = next(row for row in measured if row["batch"] == 1)
    best = max(measured, key=lambda row: row["pictures_per_second"])
    return {
        "category": category,
        "backbone": one["backbone"],
        "detector": one["detector"],
        "contender": one["detector"],
        "taps": list(BACKBONES[one["backbone"].partition(" ")[0]].default_taps),
        "input_size": list(size),
        "device": device,
        "precision": "float16",
        "image_auroc": one["image_auroc"],
        "backbone_seconds": one["backbone_ms"] / 1000,
        "search_seconds": one["embed_and_search_ms"] / 1000,
        "map_seconds": one["map_ms"] / 1000,
        "total_seconds": one["latency_ms"] / 1000,
        "search_and_map_share": (one["embed_and_search_ms"] + one["map_ms"]) / one["backbone_ms"],
        "images_per_second": one["pictures_per_second"],
        "best_batch": best["batch"],
        "images_per_second_best_batch": best["pictures_per_second"],
        "share_of_backbone_rate": best["share_of_backbone_rate"],
        "peak_memory_bytes": max(row["peak_device_bytes"] for row in measured),
        "order_kept": one["order_kept"],
        "banks": one["banks"],
        "paper": {},
    }
