"""From pixels to scores on a device, against the same steps in numpy and ONNX Runtime."""

import numpy as np
import pytest

from patchline.vision.backbones import BACKBONES, store
from patchline.vision.backbones.onnx_engine import OnnxEngine
from patchline.vision.detectors.fapm import Fapm
from patchline.vision.pixels import preprocessing

pytestmark = pytest.mark.torch
torch = pytest.importorskip("torch", reason="the torch extra is not installed")

from patchline.vision.backbones.torch_engine import TorchEngine  # noqa: E402 - needs torch
from patchline.vision.gpu.fapm import TorchFapm  # noqa: E402 - needs torch
from patchline.vision.gpu.inspection import DeviceInspector, resized  # noqa: E402 - needs torch

SIZE = (64, 96)
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")


def pictures(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *SIZE, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("device", "recorded"),
    [("cpu", False), pytest.param("cuda", False, marks=needs_cuda), pytest.param("cuda", True, marks=needs_cuda)],
)
def test_pixels_give_the_maps_and_scores_of_the_cpu_path(device: str, recorded: bool) -> None:
    spec = BACKBONES["patchline_s"]
    model = store.find(spec).read()
    engine = OnnxEngine(model, spec.default_taps)
    detector = Fapm.fit([engine.run(preprocessing.normalise(pictures(6, 0)))], seed=0, cells=[4, 4])
    inspector = DeviceInspector(
        TorchEngine.of_model(model, spec.default_taps, device=device),
        TorchFapm(detector.tensors(), detector.parameters, device=device),
        size=SIZE,
        recorded=recorded,
    )
    for seed in (1, 2):
        others = pictures(3, seed)
        found = inspector.inspect(others)
        wanted = detector.render(detector.search(detector.embed(engine.run(preprocessing.normalise(others)))), SIZE)
        np.testing.assert_allclose(found.scores.cpu().numpy(), wanted.scores, rtol=1e-3)
        np.testing.assert_allclose(found.maps.cpu().numpy(), wanted.maps, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("size", [(40, 30), (300, 200)])
def test_resizing_on_a_device_is_pillows_but_for_a_grey_level(size: tuple[int, int]) -> None:
    picture = pictures(1, 3)
    found = resized(torch.from_numpy(picture).permute(0, 3, 1, 2), size)[0].permute(1, 2, 0).numpy()
    wanted = preprocessing.resize(picture[0], size).astype(np.float32)
    assert np.abs(found - wanted).max() <= 1
    assert found.shape == (*size, 3)
