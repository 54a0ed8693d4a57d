"""Backbones in torch, against ONNX Runtime on the same files."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchline.vision.backbones import BACKBONES, store, torch_export
from patchline.vision.backbones.onnx_engine import OnnxEngine
from patchline.wire.errors import MisconfiguredError

pytestmark = pytest.mark.torch
torch = pytest.importorskip("torch", reason="the torch extra is not installed")

from patchline.vision.backbones import torch_models  # noqa: E402 - needs torch
from patchline.vision.backbones.onnx_graph import read_graph  # noqa: E402 - needs onnx
from patchline.vision.backbones.onnx_network import OnnxNetwork  # noqa: E402 - needs torch
from patchline.vision.backbones.torch_engine import TorchEngine  # noqa: E402 - needs torch

Write = Callable[..., bytes]
EVERY_TAP = ("tap1", "tap2", "tap3")
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")


def batch(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def assert_alike(model: bytes, taps: tuple[str, ...], pictures: np.ndarray, device: str = "cpu") -> None:
    wanted = OnnxEngine(model, taps).run(pictures)
    found = TorchEngine.of_model(model, taps, device=device).run(pictures)
    assert list(found) == list(taps)
    for tap in taps:
        assert found[tap].dtype == np.float32
        np.testing.assert_allclose(found[tap], wanted[tap], atol=1e-4, rtol=1e-4, err_msg=tap)


@pytest.mark.parametrize("taps", [("tap2",), ("tap3", "tap1"), EVERY_TAP])
def test_taps_are_given_in_the_order_asked_for(chain_model: bytes, taps: tuple[str, ...]) -> None:
    assert_alike(chain_model, taps, batch(2, 3, 32, 24))


def test_the_packaged_backbone_gives_what_onnx_runtime_gives() -> None:
    spec = BACKBONES["patchline_s"]
    assert_alike(store.find(spec).read(), spec.default_taps, batch(2, 3, 64, 96))


@pytest.mark.weights
@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet18", "resnet50_v2_trunk"])
def test_published_files_give_what_onnx_runtime_gives(name: str, real_weights: Path) -> None:
    file = BACKBONES[name].files[0]
    if not (real_weights / file.name).is_file():
        pytest.skip(f"{file.name} is not in PATCHLINE_WEIGHTS")
    assert_alike((real_weights / file.name).read_bytes(), file.taps, batch(1, 3, 96, 128))


@needs_cuda
@pytest.mark.weights
@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet18", "resnet50_v2_trunk"])
def test_a_gpu_gives_what_onnx_runtime_gives(name: str, real_weights: Path) -> None:
    file = BACKBONES[name].files[0]
    assert_alike((real_weights / file.name).read_bytes(), file.taps, batch(2, 3, 224, 224), device="cuda")


def test_an_exported_network_read_back_is_the_network() -> None:
    spec, taps = BACKBONES["mobilenet_v2"], ("features.3", "features.14")
    torch.manual_seed(0)
    network: Any = torch_models.ARCHITECTURES["mobilenet_v2"]()
    weights = {name: value.numpy() for name, value in network.state_dict().items()}
    assert_alike(torch_export.export(spec, weights, taps), taps, batch(1, 3, 64, 64))


def test_a_network_of_torch_is_run_as_it_is() -> None:
    spec = BACKBONES["wide_resnet50_2"]
    engine = TorchEngine(torch_export.build(spec, None, ("layer2",)), ("layer2",))
    assert engine.run(batch(1, 3, 64, 64))["layer2"].shape == (1, 512, 8, 8)


def test_operations_of_unfolded_networks_are_known(write_node: Write, write_model: Write) -> None:
    rng = np.random.default_rng(2)
    names = ("scale", "shift", "mean", "variance")
    weights: dict[str, np.ndarray] = {name: rng.uniform(0.5, 2, 3).astype(np.float32) for name in names}
    weights |= {"factor": rng.standard_normal((1, 3, 1, 1)), "term": rng.standard_normal((1, 3, 1, 1))}
    nodes = [
        write_node("BatchNormalization", ["input", *names], "normal", epsilon=0.01),
        write_node("Mul", ["normal", "factor"], "scaled"),
        write_node("Add", ["scaled", "term"], "affine"),
        write_node("Mul", ["affine", "factor"], "product"),
        write_node("Mul", ["product", "affine"], "square"),
        write_node("MaxPool", ["square"], "pooled", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
        write_node("GlobalAveragePool", ["pooled"], "mean_of_all"),
    ]
    taps = ("affine", "product", "pooled", "mean_of_all")
    assert_alike(write_model(nodes, weights, dict.fromkeys(taps, 3)), taps, batch(2, 3, 12, 10))


def test_an_operation_that_is_not_known_is_refused_by_name(write_node: Write, write_model: Write) -> None:
    model = write_model([write_node("Erf", ["input"], "tap")], {}, {"tap": 3})
    with pytest.raises(MisconfiguredError, match="does not know the operation Erf"):
        TorchEngine.of_model(model, ("tap",))


def test_padding_that_differs_from_side_to_side_is_refused(write_node: Write, write_model: Write) -> None:
    pool = write_node("MaxPool", ["input"], "tap", kernel_shape=[2, 2], pads=[0, 0, 1, 1])
    with pytest.raises(MisconfiguredError, match="padding differs from side to side"):
        TorchEngine.of_model(write_model([pool], {}, {"tap": 3}), ("tap",))


def test_a_network_can_be_traced_whole_by_torchs_compiler() -> None:
    spec = BACKBONES["patchline_s"]
    network = OnnxNetwork(store.find(spec).read(), spec.default_taps)
    pictures = torch.from_numpy(batch(1, 3, 64, 64))
    traced = torch.compile(network, backend="eager", fullgraph=True)
    for found, wanted in zip(traced(pictures), network(pictures), strict=True):
        np.testing.assert_array_equal(found.numpy(), wanted.numpy())


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_half_precision_stays_near(precision: str) -> None:
    spec = BACKBONES["patchline_s"]
    model, pictures = store.find(spec).read(), batch(1, 3, 64, 64)
    whole = TorchEngine.of_model(model, spec.default_taps).run(pictures)
    engine = TorchEngine.of_model(model, spec.default_taps, precision=precision)  # type: ignore[arg-type]
    assert {each.dtype for each in engine.maps(torch.from_numpy(pictures)).values()} == {getattr(torch, precision)}
    for tap, wanted in whole.items():
        np.testing.assert_allclose(engine.run(pictures)[tap], wanted, atol=0.02 * np.abs(wanted).max())


def test_a_size_that_the_network_cannot_take_is_refused(chain_model: bytes) -> None:
    engine = TorchEngine.of_model(chain_model, EVERY_TAP)
    engine.warm_up((16, 16), 2)
    with pytest.raises(MisconfiguredError, match="cannot run on input of shape"):
        engine.run(batch(1, 3, 2, 2))


@pytest.mark.parametrize("device", ["nonsense", "cuda:99"])
def test_a_device_that_is_not_there_is_refused(chain_model: bytes, device: str) -> None:
    with pytest.raises(MisconfiguredError, match="torch cannot use the device"):
        TorchEngine.of_model(chain_model, EVERY_TAP, device=device)


def test_an_unknown_precision_is_refused(chain_model: bytes) -> None:
    with pytest.raises(MisconfiguredError, match="no precision 'int3'"):
        TorchEngine.of_model(chain_model, EVERY_TAP, precision="int3")  # type: ignore[arg-type]


@given(data=st.data())
def test_a_damaged_model_is_refused_or_read_but_never_a_crash(chain_model: bytes, data: st.DataObject) -> None:
    damaged = bytearray(chain_model[: data.draw(st.integers(0, len(chain_model)))])
    for _ in range(data.draw(st.integers(0, 4)) if damaged else 0):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with suppress(MisconfiguredError):
        read_graph(bytes(damaged))
