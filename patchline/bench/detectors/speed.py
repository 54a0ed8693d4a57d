"""How long a picture takes, stage by stage, and how many a second go through in batches.

A stage's time is a median over the pictures. Reading, resizing and decoding are not counted: they are the same for all.
"""

import time
from statistics import median
from typing import Any

import numpy as np

from patchline.vision.backbones.engine import Engine
from patchline.vision.detectors.protocol import Detector
from patchline.vision.pixels.arrays import Pixels, Progress, Size
from patchline.vision.pixels.preprocessing import normalise

WARM_UP = 3
BATCHES = (1, 2, 4, 8, 16, 32)
FEWEST_BATCHES = 3
STAGES = ("backbone", "pooling", "comparison", "map")


def time_pictures(
    engine: Engine, detector: Detector, pictures: Pixels, *, runs: int, on_progress: Progress
) -> dict[str, Any]:
    """Times of single pictures.

    Args:
        engine: The backbone.
        detector: Fitted on its maps.
        pictures: `(N, H, W, 3)` at the input size.
        runs: How many pictures are timed, over again where there are fewer.
        on_progress: Called with pictures done and pictures in all.

    Returns:
        Medians `backbone_seconds` (with normalisation), `search_seconds` (with pooling, which is told beside it),
        `map_seconds` and `total_seconds`; `search_and_map_share` of the backbone's time.
    """
    taken: dict[str, list[float]] = {stage: [] for stage in (*STAGES, "total")}
    for run in range(-WARM_UP, runs):
        seconds = _inspect(engine, detector, pictures[[run % len(pictures)]])
        if run >= 0:
            for stage, spent in seconds.items():
                taken[stage].append(spent)
        on_progress(max(0, run + 1), runs)
    searched = [sum(each) for each in zip(taken["pooling"], taken["comparison"], strict=True)]
    told: dict[str, Any] = {
        "backbone_seconds": median(taken["backbone"]),
        "pooling_seconds": median(taken["pooling"]),
        "search_seconds": median(searched),
        "map_seconds": median(taken["map"]),
        "total_seconds": median(taken["total"]),
        "total_seconds_fastest": min(taken["total"]),
        "timed_pictures": runs,
    }
    told["search_and_map_share"] = (told["search_seconds"] + told["map_seconds"]) / told["backbone_seconds"]
    return told


def rate_batches(
    engine: Engine, detector: Detector, pictures: Pixels, *, runs: int, on_progress: Progress
) -> dict[str, Any]:
    """Pictures a second at every batch size, and at the best, with the share of search and map in the latter.

    Arguments as for `time_pictures`.
    """
    rates: dict[int, float] = {}
    shares: dict[int, float] = {}
    for done, batch in enumerate(BATCHES):
        on_progress(done, len(BATCHES))
        seconds = _typical(engine, detector, pictures, batch, max(FEWEST_BATCHES, runs // batch))
        rates[batch] = batch / seconds["total"]
        shares[batch] = (seconds["pooling"] + seconds["comparison"] + seconds["map"]) / seconds["backbone"]
    on_progress(len(BATCHES), len(BATCHES))
    best = max(rates, key=lambda batch: rates[batch])
    return {
        "images_per_second": rates[1],
        "best_batch": best,
        "images_per_second_best_batch": rates[best],
        "search_and_map_share_best_batch": shares[best],
        "images_per_second_by_batch": {str(batch): rate for batch, rate in rates.items()},
    }


def _typical(engine: Engine, detector: Detector, pictures: Pixels, batch: int, times: int) -> dict[str, float]:
    """The median seconds of each stage, and of all, of batches of a size; the first one warms up."""
    taken: list[dict[str, float]] = []
    for first in range(0, batch * (times + 1), batch):
        chosen = pictures[np.arange(first, first + batch) % len(pictures)]
        taken.append(_inspect(engine, detector, chosen))
    return {stage: median(seconds[stage] for seconds in taken[1:]) for stage in (*STAGES, "total")}


def _inspect(engine: Engine, detector: Detector, pixels: Pixels) -> dict[str, float]:
    size: Size = (pixels.shape[1], pixels.shape[2])
    times = [time.perf_counter()]
    maps = engine.run(normalise(pixels))
    times.append(time.perf_counter())
    embedded = detector.embed(maps)
    times.append(time.perf_counter())
    found = detector.search(embedded)
    times.append(time.perf_counter())
    detector.render(found, size)
    times.append(time.perf_counter())
    seconds = dict(zip(STAGES, np.diff(times).tolist(), strict=True))
    return {**seconds, "total": times[-1] - times[0]}
