"""The same table from the torch path on a GPU, where backbone, search and map all run."""

# mypy: allow-untyped-calls

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from patchline.bench.detectors.embeddings import open_all
from patchline.pictures.files import GOOD, read_category
from patchline.replay.phases import OnPhase
from patchline.vision.backbones import BACKBONES
from patchline.vision.pixels.arrays import Size
from patchline.wire.errors import MisconfiguredError, missing_extra

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
    """Rows of detectors at their papers' 10 %, in half precision.

    Raises:
        MisconfiguredError: torch is not installed, there is no such device, or a detector has no torch path.
    """
    try:
        import torch  # noqa: PLC0415 - an extra

        from patchline.bench.detectors import device_path  # noqa: PLC0415 - needs torch
    except ImportError as error:
        raise missing_extra("torch", "torch") from error
    if not torch.cuda.is_available():
        raise MisconfiguredError(
            f"there is no device {device!r} that torch can use", where="--device", remedy="leave it at cpu"
        )
    if unknown := [name for name in detectors if name not in device_path.DETECTORS]:
        known = ", ".join(device_path.DETECTORS)
        raise MisconfiguredError(
            f"{unknown[0]!r} has no torch path", where="--detector", remedy=f"use some of: {known}"
        )
    category = read_category(data)
    pictures = device_path.Pictures(
        name=category.name,
        normal=open_all(category.train, size),
        test=open_all(category.test, size),
        anomalous=np.array([sample.label != GOOD for sample in category.test]),
    )
    effort = device_path.Effort(batches=BATCHES, seconds=0.3, rounds=7, recorded=True)
    for name in backbones:
        fast = device_path.contestant(name, device=device, precision="float16", seed=seed)
        exact = device_path.contestant(name, device=device, precision="float32", seed=seed)
        rows = []
        for done, detector in enumerate(detectors):
            on_phase(f"{name}: measure", done, len(detectors))
            measured = device_path.measure(detector, fast, exact, pictures, effort, seed=seed)
            rows.append(row_of(measured, category=pictures.name, size=size, device=torch.cuda.get_device_name(device)))
        on_phase(f"{name}: measure", len(detectors), len(detectors))
        yield rows


def row_of(measured: Sequence[Mapping[str, Any]], *, category: str, size: Size, device: str) -> dict[str, Any]:
    """One row of this table from a detector's measurements, one for each batch size.

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
