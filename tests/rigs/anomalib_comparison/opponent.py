"""anomalib's side of the duel, run by the Python it is installed in; knows nothing of patchline.

Run as `opponent.py FOLDER WEIGHTS THREADS`. FOLDER holds `bank.npy` and `pictures.npy` (normalised, `(N, 3, H, W)`
float32). Each line on stdin is a picture's index, each on stdout the seconds it took as JSON; at the end of stdin its
scores and maps are left in FOLDER as `scores.npy` and `maps.npy`.
"""

import importlib
import importlib.metadata
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

LAYERS = ("layer2", "layer3")
PACKAGES = ("anomalib", "torch", "timm")
_DECLARED: list[Any] = []
"""Libraries of operators, which stay declared as long as these live."""


def main() -> None:
    """Be asked for pictures until the asker has enough."""
    folder, weights, threads = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    torch = _torch(threads)
    model = _model(torch, np.load(folder / "bank.npy"), weights)
    clock = _Clock(model)
    pictures = np.load(folder / "pictures.npy")
    scores = np.zeros(len(pictures), dtype=np.float32)
    maps = np.zeros((len(pictures), *pictures.shape[2:]), dtype=np.float32)
    _say({package: importlib.metadata.version(package) for package in PACKAGES})
    for line in sys.stdin:
        index = int(line)
        batch = torch.from_numpy(pictures[index : index + 1])
        with torch.inference_mode():
            prediction = clock.time(batch)
        scores[index] = float(prediction.pred_score[0])
        maps[index] = prediction.anomaly_map[0, 0].numpy()
        _say(clock.seconds)
    np.save(folder / "scores.npy", scores)
    np.save(folder / "maps.npy", maps)


def _torch(threads: int) -> Any:
    torch = importlib.import_module("torch")
    torch.set_num_threads(threads)
    try:
        importlib.import_module("torchvision")
    except RuntimeError:  # a CPU build of torch beside a torchvision without its operators, which PatchCore never calls
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "DEF")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _DECLARED.append(library)
    return torch


def _model(torch: Any, bank: Any, weights: Path) -> Any:
    patchcore = importlib.import_module("anomalib.models.image.patchcore.torch_model")
    model = patchcore.PatchcoreModel(backbone="resnet18", layers=LAYERS, pre_trained=False)
    state = importlib.import_module("safetensors.torch").load_file(str(weights))
    loaded = model.feature_extractor.feature_extractor.load_state_dict(state, strict=False)
    lacking = [name for name in loaded.missing_keys if not name.startswith(("layer4", "fc"))]
    if lacking:
        raise SystemExit(f"the weights lack {lacking}")
    model.memory_bank = torch.from_numpy(bank)
    return model.eval()


class _Clock:
    """Seconds that a model's backbone, its map, and all of it take."""

    def __init__(self, model: Any) -> None:
        self.seconds: dict[str, float] = {}
        self._model = model
        self._started: dict[str, float] = {}
        for phase, part in (("backbone", model.feature_extractor), ("map", model.anomaly_map_generator)):
            part.register_forward_pre_hook(lambda *_, phase=phase: self._start(phase))
            part.register_forward_hook(lambda *_, phase=phase: self._stop(phase))

    def time(self, batch: Any) -> Any:
        self._start("total")
        prediction = self._model(batch)
        self._stop("total")
        return prediction

    def _start(self, phase: str) -> None:
        self._started[phase] = time.perf_counter()

    def _stop(self, phase: str) -> None:
        self.seconds[phase] = time.perf_counter() - self._started[phase]


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
