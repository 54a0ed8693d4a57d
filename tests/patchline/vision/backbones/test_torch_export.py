"""Exports of published weights, against the ONNX files published beside them where they are at hand."""

import importlib
from pathlib import Path

import numpy as np
import pytest

from patchline.vision.backbones import BACKBONES, download, store, torch_export
from patchline.vision.backbones.onnx_engine import OnnxEngine
from patchline.wire.errors import MisconfiguredError

pytestmark = pytest.mark.torch
torch = pytest.importorskip("torch", reason="the torch extra is not installed")

SMALL = (2, 3, 64, 96)


def random_weights(name: str) -> dict[str, np.ndarray]:
    """Weights of a network as torch initialises them, under torchvision's names."""
    torch.manual_seed(0)
    network = importlib.import_module("patchline.vision.backbones.torch_models").ARCHITECTURES[name]()
    return {key: value.numpy() for key, value in network.state_dict().items()}


def batch(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet18", "wide_resnet50_2"])
def test_every_tap_of_a_spec_can_be_asked_for_and_has_its_channels_and_stride(name: str) -> None:
    spec = BACKBONES[name]
    model = torch_export.export(spec, random_weights(name), list(spec.taps))
    assert OnnxEngine(model, tuple(spec.taps)).taps == tuple(spec.taps)
    maps = OnnxEngine(model, list(spec.taps)).run(batch(*SMALL))
    for tap, array in maps.items():
        stride = spec.taps[tap].stride
        assert array.shape == (2, spec.taps[tap].channels, 64 // stride, 96 // stride), tap


def test_an_export_gives_what_torch_gives() -> None:
    spec, taps = BACKBONES["mobilenet_v2"], ["features.3", "features.8", "features.14"]
    weights = random_weights("mobilenet_v2")
    maps = OnnxEngine(torch_export.export(spec, weights, taps), taps).run(batch(*SMALL))
    with torch.no_grad():
        expected = torch_export.build(spec, weights, taps)(torch.from_numpy(batch(*SMALL)))
    for found, wanted in zip(maps.values(), expected, strict=True):
        np.testing.assert_allclose(found, wanted.numpy(), atol=1e-4)


@pytest.mark.weights
@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet18"])
def test_published_weights_exported_equal_the_published_onnx_file(name: str, real_weights: Path) -> None:
    spec = BACKBONES[name]
    assert spec.checkpoint is not None
    files = [real_weights / name for name in (spec.files[0].name, *spec.checkpoint.files)]
    if not all(file.is_file() for file in files):
        pytest.skip(f"{' and '.join(file.name for file in files)} are not both in PATCHLINE_WEIGHTS")
    published, taps = store.find(spec), spec.files[0].taps
    model = torch_export.export(spec, download.read_checkpoint(store.find_checkpoint(spec)), taps)
    pictures = batch(1, 3, 96, 64)
    ours, theirs = OnnxEngine(model, taps).run(pictures), OnnxEngine(published.read(), taps).run(pictures)
    for tap in taps:
        np.testing.assert_allclose(ours[tap], theirs[tap], atol=1e-4)


def test_a_trunk_published_without_its_end_will_do_but_nothing_the_taps_need_may_miss() -> None:
    spec, weights = BACKBONES["resnet18"], random_weights("resnet18")
    trunk = {name: array for name, array in weights.items() if not name.startswith(("layer4", "fc"))}
    torch_export.build(spec, trunk, ["layer3"])
    del trunk["layer3.1.bn2.running_var"]
    with pytest.raises(MisconfiguredError, match=r"not the weights of resnet18: layer3\.1\.bn2\.running_var"):
        torch_export.build(spec, trunk, ["layer3"])
    torch_export.build(spec, trunk, ["layer2"])


def test_weights_of_another_network_are_refused() -> None:
    with pytest.raises(MisconfiguredError, match="not the weights of resnet18"):
        torch_export.build(BACKBONES["resnet18"], random_weights("mobilenet_v2"), ["layer1"])
    with pytest.raises(MisconfiguredError, match="not the weights of resnet18"):
        torch_export.build(BACKBONES["resnet18"], random_weights("wide_resnet50_2"), ["layer1"])


def test_a_backbone_that_comes_as_onnx_only_cannot_be_exported() -> None:
    with pytest.raises(MisconfiguredError, match="ONNX files only"):
        torch_export.export(BACKBONES["resnet50_v2_trunk"], {}, ["layer1"])
