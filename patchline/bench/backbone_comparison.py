"""Two backbones on the same category, detector and pictures: what each finds, and how far apart they are."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from patchline.bench.paired_bootstrap import Flags, Scores, auroc_resamples, draws, interval, pixel_f1_resamples
from patchline.pictures.files import GOOD, Category, open_mask, open_picture
from patchline.vision.backbones.lookup import backbone_of
from patchline.vision.backbones.onnx_engine import OnnxEngine
from patchline.vision.backbones.store import find
from patchline.vision.detectors import DETECTORS
from patchline.vision.pixels.arrays import FeatureMaps, Pixels, Size
from patchline.vision.pixels.preprocessing import normalise, resize
from patchline.vision.scoring import evaluation

BATCH, RESAMPLES = 8, 2000

Resampled = dict[str, NDArray[np.float64]]
"""Measure -> the first backbone's figure less the second's, in every resample."""


@dataclass(frozen=True)
class Contestant:
    """A backbone by its bytes: its name, the taps taken, and the engine that runs it."""

    name: str
    model: bytes
    taps: tuple[str, ...]
    engine: OnnxEngine


@dataclass(frozen=True)
class Examination:
    """What a detector on one backbone said of a category's test pictures, and the bytes of what it learnt."""

    scores: Scores
    maps: Scores
    artifact_bytes: int


Pair = tuple[Contestant, Contestant]


def contestant(name: str, file: Path | None, threads: int, taps: Sequence[str] = ()) -> Contestant:
    """The backbone of that name, from the weight lookup or from the file given, with its default taps or those named.

    Raises:
        MisconfiguredError: There is no such backbone, or no file of it.
    """
    spec = backbone_of(name)
    taken = spec.ordered(tuple(taps))
    model = file.read_bytes() if file else find(spec, taken).read()
    return Contestant(name, model, taken, OnnxEngine(model, taken, threads=threads))


def examine(
    backbone: Contestant, detector: str, train: Pixels, test: Pixels, *, seed: int, parameters: dict[str, Any]
) -> Examination:
    """Fit the detector on the normal pictures and score the test pictures."""
    fitted = DETECTORS[detector].fit(_maps(backbone, train), seed=seed, **parameters)
    scores, maps = [], []
    for batch in _maps(backbone, test):
        rendering = fitted.render(fitted.search(fitted.embed(batch)), (test.shape[1], test.shape[2]))
        scores.append(rendering.scores)
        maps.append(rendering.maps)
    held = sum(tensor.nbytes for tensor in fitted.tensors().values())
    return Examination(np.concatenate(scores), np.concatenate(maps), held)


def _maps(backbone: Contestant, pixels: Pixels) -> list[FeatureMaps]:
    starts = range(0, len(pixels), BATCH)
    return [backbone.engine.run(normalise(pixels[start : start + BATCH])) for start in starts]


def duel(
    category: Category, pair: Pair, detector: str, size: Size, *, seed: int, parameters: dict[str, Any]
) -> tuple[dict[str, Any], Resampled]:
    """One category: a row with both sides' figures and the intervals of their differences, and the resamples."""
    train = np.stack([resize(open_picture(sample.path), size) for sample in category.train])
    test = np.stack([resize(open_picture(sample.path), size) for sample in category.test])
    truth = np.array([sample.label != GOOD for sample in category.test])
    sides = [examine(backbone, detector, train, test, seed=seed, parameters=parameters) for backbone in pair]
    drawn = draws(truth, resamples=RESAMPLES, seed=[seed, zlib.crc32(category.name.encode())])
    row: dict[str, Any] = {"category": category.name, "detector": detector, "test": len(truth)}
    for backbone, side in zip(pair, sides, strict=True):
        auroc = evaluation.image_auroc(truth, side.scores)
        row[backbone.name] = {"image_auroc": auroc, "artifact_bytes": side.artifact_bytes}
    first, second = (auroc_resamples(truth, side.scores, drawn) for side in sides)
    resampled = {"image_auroc": first - second}
    known = [(at, mask) for at, s in enumerate(category.test) if (mask := open_mask(s, size)) is not None]
    if any(mask.any() for _, mask in known):
        resampled["pixel_f1"] = _pixels(row, pair, sides, known, drawn)
    for measure, values in resampled.items():
        mine, theirs = (row[backbone.name][measure] for backbone in pair)
        row[f"{measure}_difference"] = {"value": mine - theirs, "interval": interval(values)}
    return row, resampled


def _pixels(
    row: dict[str, Any],
    pair: Pair,
    sides: Sequence[Examination],
    known: list[tuple[int, Flags]],
    drawn: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Put the pixel figures of the pictures whose truth is known into the row; their resampled difference."""
    indices, masks = [at for at, _ in known], [mask for _, mask in known]
    for backbone, side in zip(pair, sides, strict=True):
        row[backbone.name]["pixel_f1"] = evaluation.pixel_f1(masks, side.maps[indices])
        row[backbone.name]["pixel_auroc"] = evaluation.pixel_auroc(masks, side.maps[indices])
    first, second = (pixel_f1_resamples(masks, side.maps[indices], drawn[:, indices]) for side in sides)
    return first - second


def mean_differences(rows: Sequence[dict[str, Any]], resamples: Sequence[Resampled]) -> dict[str, Any]:
    """Measure -> the mean difference over the categories that have it, with its interval."""
    means: dict[str, Any] = {}
    for measure in ("image_auroc", "pixel_f1"):
        values = [row[f"{measure}_difference"]["value"] for row in rows if f"{measure}_difference" in row]
        drawn = [differences[measure] for differences in resamples if measure in differences]
        if values:
            interval_ = interval(np.mean(drawn, axis=0))
            means[measure] = {"value": float(np.mean(values)), "interval": interval_, "categories": len(values)}
    return means
