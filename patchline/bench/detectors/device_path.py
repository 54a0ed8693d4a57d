"""One backbone with one detector: pictures a second of the whole path beside those of the backbone alone.

The whole path begins with decoded uint8 pixels on the host and ends with the scores there; maps stay on the device,
where whoever shows one can fetch it. Pictures travel while others are worked on. Decoding is not counted.
"""

# mypy: allow-untyped-calls

from collections.abc import Callable, Mapping
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from patchline.bench.detectors.device_timing import seconds_a_call, wait
from patchline.vision.backbones import BACKBONES, store, torch_export
from patchline.vision.backbones.onnx_network import OnnxNetwork
from patchline.vision.backbones.torch_engine import Precision, TorchEngine
from patchline.vision.gpu.fapm import TorchFapm
from patchline.vision.gpu.fitting import Fitted, fit_fapm, fit_patchcore
from patchline.vision.gpu.inspection import DeviceInspector, TorchDetector, normalised
from patchline.vision.gpu.patchcore import TorchPatchCore
from patchline.vision.pixels.arrays import Pixels, Size
from patchline.vision.scoring.evaluation import image_auroc

DETECTORS: Mapping[str, Any] = {"patchcore": TorchPatchCore, "fapm": TorchFapm}
_FIT_BATCH = 16


class Pictures(NamedTuple):
    """What is learnt from and what is inspected.

    Attributes:
        name: The category.
        normal: `(N, H, W, 3)`.
        test: `(M, H, W, 3)`.
        anomalous: `(M,)`, which of those have a defect.
    """

    name: str
    normal: Pixels
    test: Pixels
    anomalous: NDArray[np.bool_]


class Contestant(NamedTuple):
    """A backbone on a device.

    Attributes:
        label: Its name in tables; it tells where the weights are random.
    """

    label: str
    engine: TorchEngine


class Effort(NamedTuple):
    """How thoroughly is measured.

    Attributes:
        batches: Pictures a batch, each measured.
        seconds: About how long a round of one step takes.
        rounds: How many rounds; medians are reported.
        recorded: Whether the work is recorded as a CUDA graph.
    """

    batches: tuple[int, ...]
    seconds: float
    rounds: int
    recorded: bool


def contestant(name: str, *, device: str, precision: Precision, seed: int) -> Contestant:
    """A backbone by name, at its default taps; one that has no published file gets random weights.

    Raises:
        MisconfiguredError: Its weights or the device are not here.
    """
    spec = BACKBONES[name]
    if spec.files:
        network: torch.nn.Module = OnnxNetwork(store.find(spec).read(), spec.default_taps)
        label = name
    else:
        torch.manual_seed(seed)
        network, label = torch_export.build(spec, None, spec.default_taps), f"{name} (random weights)"
    return Contestant(label, TorchEngine(network, spec.default_taps, device=device, precision=precision))


def learn(name: str, backbone: Contestant, size: Size, normal: Pixels, *, seed: int) -> Fitted:
    """What a detector learns of normal pictures, on the device: 10 % of their patches."""
    engine = backbone.engine
    batches = (torch.from_numpy(normal[at : at + _FIT_BATCH]) for at in range(0, len(normal), _FIT_BATCH))
    maps = (engine.maps(normalised(batch.to(engine.device), size, engine.dtype)) for batch in batches)
    if name == "patchcore":
        return fit_patchcore(maps, seed=seed)
    return fit_fapm(maps, seed=seed)


def measure(
    name: str, backbone: Contestant, exact: Contestant, pictures: Pictures, effort: Effort, *, seed: int
) -> list[dict[str, Any]]:
    """A row for each batch size.

    Args:
        name: Of the detector.
        backbone: In the precision that is measured.
        exact: The same in float32, which the memory is made with and the order of scores compared with.
        pictures: To learn from and to inspect.
        effort: How thoroughly.
        seed: Of the coresets.
    """
    size: Size = (pictures.test.shape[1], pictures.test.shape[2])
    fitted = learn(name, exact, size, pictures.normal, seed=seed)
    agreement = _agreement(name, fitted, (backbone, exact), pictures, size)
    detector = _detector(name, fitted, backbone)
    rows = []
    for batch in effort.batches:
        speed = _speed(backbone, detector, _repeated(pictures.test, batch), size, effort)
        rows.append({"backbone": backbone.label, "detector": name, "batch": batch, **speed, **agreement})
    return rows


def _speed(
    backbone: Contestant, detector: TorchDetector, batch: Pixels, size: Size, effort: Effort
) -> dict[str, float]:
    engine, device = backbone.engine, backbone.engine.device
    inspector = DeviceInspector(engine, detector, size=size, recorded=effort.recorded)
    host = torch.from_numpy(batch)
    scores = torch.empty(len(batch))
    if device.type == "cuda":
        host, scores = host.pin_memory(), scores.pin_memory()
        torch.cuda.reset_peak_memory_stats(device)
    planes = normalised(host.to(device), size, engine.dtype)
    maps = engine.maps(planes)
    found = detector.search(maps)

    def whole(calls: int) -> None:
        for each in inspector.inspect_each(repeat(host, calls)):
            scores.copy_(each.scores, non_blocking=True)

    def one_by_one(calls: int) -> None:
        for _ in range(calls):
            inspector.inspect(host).scores.cpu()

    steps: dict[str, Callable[[int], None]] = {
        "whole": whole,
        "backbone": _limit(backbone, planes, recorded=effort.recorded),
        "latency": one_by_one,
        "embed_and_search": lambda calls: _again(lambda: detector.search(maps), calls),
        "map": lambda calls: _again(lambda: detector.render(found.patch, size), calls),
    }
    taken = seconds_a_call(steps, device, seconds=effort.seconds, rounds=effort.rounds)
    return {
        "pictures_per_second": len(batch) / taken["whole"],
        "share_of_backbone_rate": taken["backbone"] / taken["whole"],
        **{f"{step}_ms": 1000 * taken[step] for step in ("latency", "backbone", "embed_and_search", "map")},
        "peak_device_bytes": torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0,
    }


def _limit(backbone: Contestant, planes: Tensor, *, recorded: bool) -> Callable[[int], None]:
    """The backbone alone on pictures that lie normalised on the device: started as cheaply as the whole path is."""
    engine = backbone.engine
    if not recorded or engine.device.type != "cuda":
        return lambda calls: _again(lambda: engine.maps(planes), calls)
    aside = torch.cuda.Stream(engine.device)
    with torch.cuda.stream(aside):
        _again(lambda: engine.maps(planes), 3)
    wait(engine.device)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        engine.maps(planes)
    return lambda calls: _again(graph.replay, calls)


def _agreement(
    name: str, fitted: Fitted, backbones: tuple[Contestant, Contestant], pictures: Pictures, size: Size
) -> dict[str, Any]:
    """How far the scores, and the order of the pictures, are from those of float32."""
    rough, exact = (_scores(_detector(name, fitted, each), each, pictures.test, size) for each in backbones)
    above, below = np.triu_indices(len(exact), 1)
    kept = np.sign(rough[above] - rough[below]) == np.sign(exact[above] - exact[below])
    bank = [tensor for key, tensor in fitted.tensors.items() if key.startswith("bank")]
    return {
        "order_kept": float(kept.mean()) if len(kept) else 1.0,
        "image_auroc": image_auroc(pictures.anomalous, rough),
        "banks": [list(tensor.shape) for tensor in bank],
    }


def _scores(detector: TorchDetector, backbone: Contestant, test: Pixels, size: Size) -> np.ndarray:
    inspector = DeviceInspector(backbone.engine, detector, size=size)
    batches = (test[at : at + _FIT_BATCH] for at in range(0, len(test), _FIT_BATCH))
    return np.concatenate([inspector.inspect(batch).scores.cpu().numpy() for batch in batches])


def _detector(name: str, fitted: Fitted, backbone: Contestant) -> TorchDetector:
    precision: Precision = backbone.engine.precision
    detector: TorchDetector = DETECTORS[name](
        fitted.tensors,
        fitted.parameters,
        device=str(backbone.engine.device),
        precision=precision,
    )
    return detector


def _repeated(test: Pixels, batch: int) -> Pixels:
    return np.ascontiguousarray(test[np.arange(batch) % len(test)])


def _again(step: Callable[[], object], calls: int) -> None:
    for _ in range(calls):
        step()
