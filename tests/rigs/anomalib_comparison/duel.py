"""Both sides on the same pictures, bank, weights and threads, in turns, so that what slows one slows the other."""

import json
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from patchline.pictures.files import GOOD, Category, open_mask, open_picture
from patchline.vision.backbones import BACKBONES
from patchline.vision.backbones.onnx_engine import OnnxEngine
from patchline.vision.backbones.store import find
from patchline.vision.detectors.patchcore import PatchCore
from patchline.vision.detectors.protocol import Rendering
from patchline.vision.nearest.exact import ExactSearch
from patchline.vision.pixels.arrays import Floats, Pixels
from patchline.vision.pixels.preprocessing import normalise, resize
from patchline.vision.scoring import evaluation
from patchline.wire.errors import UnavailableError

SIZE = (224, 224)
BACKBONE = BACKBONES["resnet18"]
OPPONENT = Path(__file__).with_name("opponent.py")
_BATCH = 8
_SETTLE_SECONDS = 0.02
"""Between turns, so that the threads of one side have stopped spinning before the other starts."""

Seconds = dict[str, list[float]]
"""Phase -> seconds, one a run; `total` among them."""


@dataclass(frozen=True)
class Side:
    """What one side took and found."""

    seconds: Seconds
    scores: Floats
    maps: Floats


class Opponent:
    """anomalib in its own Python, asked picture by picture."""

    def __init__(self, python: Path, folder: Path, weights: Path, threads: int) -> None:
        self._folder = folder
        command = [str(python), str(OPPONENT), str(folder), str(weights), str(threads)]
        with (folder / "stderr.txt").open("w") as stderr:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True
            )
        try:
            self.versions = self._answer()
        except BaseException:
            self._close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._close()

    def ask(self, index: int) -> dict[str, float]:
        """Seconds by phase that a picture took."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{index}\n")
        self._process.stdin.flush()
        return self._answer()

    def end(self) -> tuple[Floats, Floats]:
        """Its scores and maps, of the pictures it was asked for."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        return np.load(self._folder / "scores.npy"), np.load(self._folder / "maps.npy")

    def _close(self) -> None:
        with self._process:  # which closes its pipes and waits for its end
            self._process.kill()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            words = (self._folder / "stderr.txt").read_text().strip().splitlines()
            raise UnavailableError(f"anomalib's side ended: {words[-1] if words else 'without a word'}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def duel(
    category: Category, python: Path, weights: Path, *, ratio: float, threads: int, seed: int, runs: int
) -> tuple[dict[str, Side], dict[str, Any]]:
    """Fit once, then let both sides score every test picture in turns.

    Args:
        category: With normal pictures to fit on and test pictures.
        python: Of the environment that anomalib is in.
        weights: ResNet-18's as safetensors, for anomalib; the same from which our ONNX file was made.
        ratio: Share of the patches that the bank keeps.
        threads: Each side may use.
        seed: Of the coreset.
        runs: How often every picture is scored.

    Returns:
        The sides `patchline` and `anomalib`, and facts: versions, bank, seconds to fit, what the search measured.
    """
    engine = OnnxEngine(find(BACKBONE).read(), BACKBONE.default_taps, threads=threads)
    train = normalise_all(category, test=False)
    started = time.perf_counter()
    batches = (engine.run(train[start : start + _BATCH]) for start in range(0, len(train), _BATCH))
    detector = PatchCore.fit(batches, seed=seed, coreset_ratio=ratio)
    facts: dict[str, Any] = {"fit_seconds": time.perf_counter() - started}
    bank = detector.tensors()["bank"]
    pictures = normalise_all(category, test=True)
    facts |= {"bank": list(bank.shape)} | _pruning(engine, detector, pictures, bank)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "bank.npy", bank)
        np.save(folder / "pictures.npy", pictures)
        with Opponent(python, folder, weights, threads) as opponent:
            facts["opponent_versions"] = opponent.versions
            ours, theirs, scores, maps = _take_turns(engine, detector, opponent, pictures, runs)
            sides = {"patchline": Side(ours, scores, maps), "anomalib": Side(theirs, *opponent.end())}
    return sides, facts


def normalise_all(category: Category, *, test: bool) -> Floats:
    """A category's pictures as a backbone takes them, `(N, 3, 224, 224)`."""
    samples = category.test if test else category.train
    pixels: Pixels = np.stack([resize(open_picture(sample.path), SIZE) for sample in samples])
    return normalise(pixels)


def accuracy(category: Category, side: Side) -> dict[str, float | None]:
    """Image and pixel AUROC."""
    truth = np.array([sample.label != GOOD for sample in category.test])
    masks = [open_mask(sample, SIZE) for sample in category.test]
    known = [index for index, mask in enumerate(masks) if mask is not None]
    flags: list[NDArray[np.bool_]] = [mask for mask in masks if mask is not None]
    return {
        "image_auroc": evaluation.image_auroc(truth, side.scores),
        "pixel_auroc": evaluation.pixel_auroc(flags, side.maps[known]),
    }


def _take_turns(
    engine: OnnxEngine, detector: PatchCore, opponent: Opponent, pictures: Floats, runs: int
) -> tuple[Seconds, Seconds, Floats, Floats]:
    ours, theirs = _Laps(), _Laps()
    scores = np.empty(len(pictures), dtype=np.float32)
    maps = np.empty((len(pictures), *SIZE), dtype=np.float32)
    for run in range(runs + 1):  # the first warms up
        for index in range(len(pictures) if run else min(3, len(pictures))):
            time.sleep(_SETTLE_SECONDS)
            spent, rendering = _score(engine, detector, pictures[index : index + 1])
            ours.add(spent)
            scores[index], maps[index] = rendering.scores[0], rendering.maps[0]
            time.sleep(_SETTLE_SECONDS)
            theirs.add(opponent.ask(index))
        if not run:
            ours, theirs = _Laps(), _Laps()
    return ours.seconds, theirs.seconds, scores, maps


def _score(engine: OnnxEngine, detector: PatchCore, picture: Floats) -> tuple[dict[str, float], Rendering]:
    times = [time.perf_counter()]
    features = engine.run(picture)
    times.append(time.perf_counter())
    embedded = detector.embed(features)
    times.append(time.perf_counter())
    found = detector.search(embedded)
    times.append(time.perf_counter())
    rendering = detector.render(found, SIZE)
    times.append(time.perf_counter())
    phases = dict(zip(("backbone", "embed", "search", "map"), np.diff(times).tolist(), strict=True))
    return {**phases, "total": times[-1] - times[0]}, rendering


class _Laps:
    def __init__(self) -> None:
        self.seconds: Seconds = {}

    def add(self, seconds: dict[str, float]) -> None:
        for phase, spent in seconds.items():
            self.seconds.setdefault(phase, []).append(spent)


def _pruning(engine: OnnxEngine, detector: PatchCore, pictures: Floats, bank: Floats) -> dict[str, float]:
    """Which share of all distances the exact search measures, and what measuring all of them costs."""
    search = ExactSearch(bank)
    shares, brute = [], []
    for picture in pictures[:: max(1, len(pictures) // 16)]:
        (patches,) = detector.embed(engine.run(picture[np.newaxis])).values()
        vectors = patches.reshape(-1, patches.shape[-1])
        pairs = search.survivors(vectors)
        shares.append(1.0 if pairs is None else len(pairs[0]) / (len(vectors) * len(bank)))
        started = time.perf_counter()
        ((bank * bank).sum(axis=1) - 2 * (vectors @ bank.T)).argmin(axis=1)
        brute.append(time.perf_counter() - started)
    return {"measured_share": float(np.mean(shares)), "brute_force_seconds": float(np.median(brute))}
