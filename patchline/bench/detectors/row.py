"""One row, measured in a process of its own, so that its peak of memory is its own: `python -m ... JOB RESULT`.

Progress goes to stdout, a line of JSON each.
"""

import resource
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from safetensors.numpy import save as save_tensors

from patchline.bench.detectors.brute_force import BruteForcePatchCore
from patchline.bench.detectors.embeddings import TEST, TRAIN, engine_of, maps_of, pictures_of
from patchline.bench.detectors.speed import rate_batches, time_pictures
from patchline.pictures.files import GOOD, Sample, open_mask, read_category
from patchline.replay.phases import OnPhase
from patchline.vision.detectors import DETECTORS
from patchline.vision.detectors.protocol import Detector
from patchline.vision.pixels.arrays import FeatureMaps, Floats, Progress, Size
from patchline.vision.scoring import evaluation
from patchline.wire.errors import MisconfiguredError

_KILOBYTE = 1024


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What to measure.

    Attributes:
        data: The category's folder.
        maps: Folder of its feature maps, as `embeddings.embed` writes it.
        detector: Its key in `DETECTORS`.
        brute_force: Whether it measures every distance.
        runs: How many single pictures are timed.
    """

    data: str
    maps: str
    backbone: str
    taps: tuple[str, ...]
    detector: str
    parameters: dict[str, Any]
    brute_force: bool
    size: Size
    threads: int
    seed: int
    runs: int


def measure(job: Job, on_phase: OnPhase) -> dict[str, Any]:
    """Fit, inspect, and judge; memory is read after single pictures, before batches and judging, which hold many.

    Raises:
        MisconfiguredError: The detector refuses: too many pictures for its budget, for instance.
    """
    folder = Path(job.maps)
    kind: type[Detector] = BruteForcePatchCore if job.brute_force else DETECTORS[job.detector]
    started = time.perf_counter()
    detector = kind.fit(
        maps_of(folder, TRAIN, job.taps), seed=job.seed, on_progress=_named("fit", on_phase), **job.parameters
    )
    fit_seconds = time.perf_counter() - started
    engine = engine_of(job.backbone, job.taps, job.threads)
    pictures = pictures_of(folder)
    speed = time_pictures(engine, detector, pictures, runs=job.runs, on_progress=_named("time", on_phase))
    peak = peak_memory_bytes()
    speed |= rate_batches(engine, detector, pictures, runs=job.runs, on_progress=_named("batches", on_phase))
    accuracy = _judge(job, detector, maps_of(folder, TEST, job.taps), _named("judge", on_phase))
    return {
        "parameters": detector.parameters,
        "facts": detector.facts(),
        "fit_seconds": fit_seconds,
        "artifact_bytes": len(save_tensors(detector.tensors())),
        "peak_memory_bytes": peak,
        **speed,
        **accuracy,
    }


def _judge(job: Job, detector: Detector, batches: Iterable[FeatureMaps], on_progress: Progress) -> dict[str, Any]:
    samples = read_category(Path(job.data)).test
    scores: list[Floats] = []
    maps: list[Floats] = []
    for batch in batches:
        rendering = detector.render(detector.search(detector.embed(batch)), job.size)
        scores.append(rendering.scores)
        maps.append(rendering.maps)
        on_progress(sum(map(len, scores)), len(samples))
    return accuracy_of(samples, np.concatenate(scores), np.concatenate(maps), job.size)


def accuracy_of(samples: Iterable[Sample], scores: Floats, maps: Floats, size: Size) -> dict[str, float | None]:
    """The four measures; those of pixels over the pictures whose truth is known."""
    tested = list(samples)
    truth = np.array([sample.label != GOOD for sample in tested])
    known = [(at, mask) for at, sample in enumerate(tested) if (mask := open_mask(sample, size)) is not None]
    chosen, masks = maps[[at for at, _ in known]], [mask for _, mask in known]
    drawn = any(mask.any() for mask in masks)
    return {
        "image_auroc": evaluation.image_auroc(truth, scores),
        "pixel_auroc": evaluation.pixel_auroc(masks, chosen) if drawn else None,
        "pixel_f1": evaluation.pixel_f1(masks, chosen) if drawn else None,
        "aupro": evaluation.aupro(masks, chosen) if drawn else None,
    }


def peak_memory_bytes() -> int:
    """The most this process has held so far; of the process alone, where the system tells it."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KILOBYTE
    # Not ru_maxrss: Linux counts into it what the parent held when it started this process.
    (peak,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(peak.split()[1]) * _KILOBYTE


def _say(phase: str, done: int, total: int) -> None:
    sys.stdout.buffer.write(msgspec.json.encode((phase, done, total)) + b"\n")
    sys.stdout.buffer.flush()


def _named(phase: str, on_phase: OnPhase) -> Progress:
    return lambda done, total: on_phase(phase, done, total)


def main() -> None:
    """Read the job, write the result; a detector that refuses is a result, too."""
    job = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Job)
    try:
        result = measure(job, _say)
    except MisconfiguredError as error:
        result = {"refused": str(error)}
    Path(sys.argv[2]).write_bytes(msgspec.json.encode(result))


if __name__ == "__main__":
    main()
