"""Scoring: inspections in, findings out, sharing work between parts wherever that changes no score.

Parts with one batch key (pictures of one size for one backbone, feature maps of one form) become feature maps
together, whatever station they come from; then each artifact's detector searches and renders its own parts. A part
scores the same alone and in a batch.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analytics_service.inspection.intake import Inspection, ReadyArtifact
from patchline.vision.detectors.protocol import all_finite
from patchline.vision.pixels.arrays import FeatureMaps


@dataclass(frozen=True, slots=True)
class Finding:
    """What the detector saw in one part.

    Attributes:
        score: Anomaly score in raw distance units.
        anomaly_map: (H, W) float32, raw distance units, at the input size.
        peak: Where the map is highest, (x, y) as shares of width and height.
        stages: Seconds the part spent in `embed`, `search` and `render`; parts of one batch spend them together.
    """

    score: float
    anomaly_map: NDArray[np.float32]
    peak: tuple[float, float]
    stages: dict[str, float]


def inspect(inspections: Sequence[Inspection], *, clock: Callable[[], float]) -> list[Finding]:
    """Score a micro-batch, in its order.

    Args:
        inspections: Decoded parts of any stations.
        clock: Monotonic seconds, for the stage times.
    """
    findings: dict[int, Finding] = {}
    for indices in _grouped(inspections, lambda one: one.artifact.reader.batch_key):
        members = [inspections[index] for index in indices]
        started = clock()
        maps = members[0].artifact.reader.embed([one.decoded for one in members])
        embed_seconds = clock() - started
        for places in _grouped(members, lambda one: one.artifact.fingerprint):
            chosen = {tap: values[places] for tap, values in maps.items()}
            scored = _score(members[places[0]].artifact, chosen, embed_seconds, clock)
            findings.update(zip([indices[place] for place in places], scored, strict=True))
    return [findings[index] for index in range(len(inspections))]


def _grouped(inspections: Sequence[Inspection], key: Callable[[Inspection], object]) -> Iterable[list[int]]:
    groups: dict[object, list[int]] = {}
    for index, inspection in enumerate(inspections):
        groups.setdefault(key(inspection), []).append(index)
    return groups.values()


def _score(
    artifact: ReadyArtifact, maps: FeatureMaps, embed_seconds: float, clock: Callable[[], float]
) -> list[Finding]:
    started = clock()
    embedded = artifact.detector.embed(maps)
    at_search = clock()
    patch_scores = artifact.detector.search(embedded)
    at_render = clock()
    rendering = artifact.detector.render(patch_scores, artifact.input_size)
    stages = {
        "embed": embed_seconds + at_search - started,
        "search": at_render - at_search,
        "render": clock() - at_render,
    }
    return [
        _finding(float(score), anomaly_map, stages)
        for score, anomaly_map in zip(rendering.scores, rendering.maps, strict=True)
    ]


def _finding(score: float, anomaly_map: NDArray[np.float32], stages: dict[str, float]) -> Finding:
    if not math.isfinite(score) or not all_finite(anomaly_map):
        raise ValueError(f"a detector gave the score {score} or a map with numbers that are not finite")
    height, width = anomaly_map.shape
    row, column = divmod(int(anomaly_map.argmax()), width)
    return Finding(score, anomaly_map, ((column + 0.5) / width, (row + 0.5) / height), stages)
