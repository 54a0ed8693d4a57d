"""What a backbone loses and gains in 8-bit integers, on normal pictures alone.

Its bias: the pictures it is measured on come from the folder of those it was calibrated on.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.table import Table

from patchline.vision.backbones.onnx_engine import OnnxEngine
from patchline.vision.backbones.quantisation import maps_of, relative_errors
from patchline.vision.detectors.patchcore import PatchCore
from patchline.vision.pixels.arrays import FeatureMaps, Floats, Size

CORESET_RATIO = 0.01
ROUNDS, WARM_UP = 100, 5


@dataclass(frozen=True)
class Contestant:
    """A backbone by its bytes: its name, the taps taken, and the engine that runs it."""

    name: str
    model: bytes
    taps: tuple[str, ...]
    engine: OnnxEngine


def speed(contestants: Sequence[Contestant], size: Size, *, seed: int) -> dict[str, dict[str, float]]:
    """Seconds a picture, median and fastest, of networks that take turns on the same noise."""
    batch = np.random.default_rng(seed).standard_normal((1, 3, *size), dtype=np.float32)
    seconds: dict[str, list[float]] = {backbone.name: [] for backbone in contestants}
    for turn in range(-WARM_UP, ROUNDS):
        for backbone in contestants:
            start = time.perf_counter()
            backbone.engine.run(batch)
            if turn >= 0:
                seconds[backbone.name].append(time.perf_counter() - start)
    return {name: {"median": float(np.median(taken)), "fastest": min(taken)} for name, taken in seconds.items()}


def compare(exact: Contestant, coarse: Contestant, learnt: Floats, held_out: Floats, *, seed: int) -> dict[str, Any]:
    """Errors, seconds, bytes, and what held-out normal pictures score with each.

    Args:
        exact: The backbone in float.
        coarse: The same one quantised.
        learnt: Normalised pictures, `(B, 3, H, W)`, that the PatchCore banks are made of.
        held_out: Others, on which features and scores are compared.
        seed: Of the coreset, and of the noise that speed is measured on.
    """
    size: Size = (held_out.shape[2], held_out.shape[3])
    pair = (exact, coarse)
    held = [maps_of(side.engine, held_out) for side in pair]
    scores = [_scores(maps_of(side.engine, learnt), maps, seed) for side, maps in zip(pair, held, strict=True)]
    spread = float(scores[0].std())
    return {
        "relative_errors": relative_errors(*held),
        "seconds": speed(pair, size, seed=seed),
        "model_bytes": {side.name: len(side.model) for side in pair},
        "normal_scores": {
            side.name: {"mean": float(found.mean()), "deviation": float(found.std())}
            for side, found in zip(pair, scores, strict=True)
        },
        "shift_in_deviations": float(scores[1].mean() - scores[0].mean()) / spread if spread else 0.0,
        "pictures": {"learnt": len(learnt), "held_out": len(held_out)},
    }


def table(found: dict[str, Any], exact: Contestant, coarse: Contestant) -> Table:
    """What a person reads: a row a measure, the float side first."""
    shown = Table("measure", exact.name, coarse.name, "difference")
    for tap, error in found["relative_errors"].items():
        shown.add_row(f"features of {tap}", "", "", f"{error:.1%} of their spread")
    names = (exact.name, coarse.name)
    for kind in ("median", "fastest"):
        float_seconds, int8_seconds = (found["seconds"][name][kind] for name in names)
        cells = (f"{float_seconds * 1e3:.2f} ms", f"{int8_seconds * 1e3:.2f} ms")
        shown.add_row(f"one picture, {kind}", *cells, f"{float_seconds / int8_seconds:.2f} times faster")
    sizes = [found["model_bytes"][name] for name in names]
    shown.add_row("file", *(f"{size:,} bytes" for size in sizes), f"{sizes[0] / sizes[1]:.2f} times smaller")
    normal = [found["normal_scores"][name] for name in names]
    scores = [f"{side['mean']:.3f} ± {side['deviation']:.3f}" for side in normal]
    shown.add_row("held-out normal scores", *scores, f"{found['shift_in_deviations']:+.2f} deviations")
    return shown


def _scores(learnt: FeatureMaps, held_out: FeatureMaps, seed: int) -> Floats:
    detector = PatchCore.fit([learnt], seed=seed, coreset_ratio=CORESET_RATIO)
    return np.asarray(detector.search(detector.embed(held_out)).image, np.float32)
