"""What a scenario finds in all test pictures, through the same codec, reader and detector as a station's parts."""

import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from patchline.artifacts.engines import EngineCache
from patchline.artifacts.readers import FeatureReader
from patchline.bench.transmission.commissioned import Ready
from patchline.bench.transmission.subject import Subject
from patchline.commissioning.normal_pictures import embed
from patchline.vision.codecs.lookup import codec_of
from patchline.vision.pixels.arrays import FeatureMaps, Progress
from patchline.vision.pixels.preprocessing import normalise
from patchline.vision.scoring import evaluation
from patchline.vision.scoring.bootstrap import (
    RESAMPLES,
    Resamples,
    auroc_resamples,
    draws,
    interval,
    pixel_f1_resamples,
)

BATCH = 8
TIMED = 24
"""Pictures that single steps are timed on."""


@dataclass(frozen=True, kw_only=True)
class Examined:
    """A scenario's figures over all test pictures.

    Attributes:
        accuracy: Measure -> its value; None where the masks do not allow one.
        resamples: Measure -> its value in every resample of the pictures, the same ones for every scenario.
        payload_bytes: `(N,)`, the codec's own bytes.
        alone_seconds: Decoding, embedding and judging one part, median, one thread.
        edge_seconds: Backbone, where it runs there, and encoding of one part, median, one thread, not slowed down.
        edge_ratio: (backbone + encode) / backbone, of medians of steps that took turns; None for pictures.
    """

    accuracy: dict[str, float | None]
    resamples: dict[str, Resamples]
    payload_bytes: NDArray[np.int64]
    alone_seconds: float
    edge_seconds: float
    edge_ratio: float | None


@dataclass
class EdgeMaps:
    """Feature maps of the test pictures as an edge makes them, once for each backbone and its taps."""

    subject: Subject
    room: EngineCache
    _made: dict[tuple[str, tuple[str, ...]], FeatureMaps] = field(default_factory=dict)

    def of(self, backbone: str, taps: tuple[str, ...], on_progress: Progress) -> FeatureMaps:
        """`(N, C, h, w)` a tap; of one backbone at a time, so that memory stays bounded."""
        key = (backbone, taps)
        if key not in self._made:
            self._made.clear()
            self._made[key] = embed(self.room.choose(backbone, taps)[1], self.subject.test, on_progress)
        return self._made[key]


def examine(ready: Ready, subject: Subject, edge: EdgeMaps, *, seed: int, on_progress: Progress) -> Examined:
    """Send all test pictures through a scenario, and compare the scores with the truth.

    Args:
        ready: What judges them.
        subject: The pictures.
        edge: Gives feature maps for codecs that carry these.
        seed: Of the resamples.
        on_progress: Called with pictures done and pictures in all.
    """
    scores, maps, sizes = [], [], []
    for start, payloads in _batches(_payloads(ready, subject, edge, on_progress)):
        on_progress(start, len(subject.test))
        parts = ready.shelved.reader.embed([ready.shelved.reader.decode(payload) for payload in payloads])
        detector = ready.shelved.detector
        rendering = detector.render(detector.search(detector.embed(parts)), subject.size)
        scores.append(rendering.scores)
        maps.append(rendering.maps)
        sizes += [len(payload) for payload in payloads]
    on_progress(len(subject.test), len(subject.test))
    accuracy, resamples = _measured(subject, np.concatenate(scores), np.concatenate(maps)[subject.known], seed)
    backbone_seconds, encode_seconds = _edge_seconds(ready, subject, edge)
    return Examined(
        accuracy=accuracy,
        resamples=resamples,
        payload_bytes=np.array(sizes),
        alone_seconds=_alone_seconds(ready, payloads[-1]),
        edge_seconds=backbone_seconds + encode_seconds,
        edge_ratio=(backbone_seconds + encode_seconds) / backbone_seconds if ready.scenario.at_edge else None,
    )


def loss(of: Examined, reference: Examined) -> dict[str, dict[str, float | tuple[float, float]]]:
    """Measure -> how much less it is than the reference's, with a 95 % interval over paired resamples."""
    found: dict[str, dict[str, float | tuple[float, float]]] = {}
    for measure, resampled in of.resamples.items():
        mine, theirs = of.accuracy[measure], reference.accuracy[measure]
        if mine is not None and theirs is not None:
            spread = interval(reference.resamples[measure] - resampled)
            found[measure] = {"value": theirs - mine, "interval": spread}
    return found


def _payloads(ready: Ready, subject: Subject, edge: EdgeMaps, on_progress: Progress) -> Iterator[bytes]:
    scenario, reader = ready.scenario, ready.shelved.reader
    if isinstance(reader, FeatureReader):
        maps = edge.of(scenario.backbone, scenario.taps, on_progress)
        for place in range(len(subject.test)):
            yield reader.codec.encode({tap: values[place : place + 1] for tap, values in maps.items()})
    else:
        codec = codec_of(scenario.codec)
        for picture in subject.test:
            yield codec.encode(picture)


def _batches(payloads: Iterator[bytes]) -> Iterator[tuple[int, list[bytes]]]:
    held: list[bytes] = []
    for number, payload in enumerate(payloads, start=1):
        held.append(payload)
        if len(held) == BATCH:
            yield number - len(held), held
            held = []
    if held:
        yield number - len(held), held


def _measured(
    subject: Subject, scores: NDArray[np.float32], maps: NDArray[np.float32], seed: int
) -> tuple[dict[str, float | None], dict[str, Resamples]]:
    drawn = draws(subject.truth, resamples=RESAMPLES, seed=[seed, zlib.crc32(subject.category.encode())])
    accuracy: dict[str, float | None] = {"image_auroc": evaluation.image_auroc(subject.truth, scores)}
    resamples = {"image_auroc": auroc_resamples(subject.truth, scores, drawn)}
    if any(mask.any() for mask in subject.masks):
        accuracy["pixel_auroc"] = evaluation.pixel_auroc(subject.masks, maps)
        accuracy["pixel_f1"] = evaluation.pixel_f1(subject.masks, maps)
        accuracy["aupro"] = evaluation.aupro(subject.masks, maps)
        resamples["pixel_f1"] = pixel_f1_resamples(subject.masks, maps, drawn[:, subject.known])
    return accuracy, resamples


def _edge_seconds(ready: Ready, subject: Subject, edge: EdgeMaps) -> tuple[float, float]:
    """Medians of backbone and encoding, which take turns picture by picture; no backbone where none runs there."""
    scenario, reader = ready.scenario, ready.shelved.reader
    backbone, encoding = [0.0], []
    if isinstance(reader, FeatureReader):
        engine = edge.room.choose(scenario.backbone, scenario.taps)[1]
        for picture in subject.test[:TIMED]:
            start = time.perf_counter()
            maps = engine.run(normalise(picture[None]))
            halfway = time.perf_counter()
            reader.codec.encode(maps)
            encoding.append(time.perf_counter() - halfway)
            backbone.append(halfway - start)
        return float(np.median(backbone[1:])), float(np.median(encoding))
    codec = codec_of(scenario.codec)
    for picture in subject.test[:TIMED]:
        start = time.perf_counter()
        codec.encode(picture)
        encoding.append(time.perf_counter() - start)
    return backbone[0], float(np.median(encoding))


def _alone_seconds(ready: Ready, payload: bytes) -> float:
    """What the service does for one part, so that a line can be given a takt it keeps up with."""
    detector, reader, seconds = ready.shelved.detector, ready.shelved.reader, []
    for _ in range(5):
        start = time.perf_counter()
        scored = detector.search(detector.embed(reader.embed([reader.decode(payload)])))
        detector.render(scored, ready.shelved.input_size)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))
