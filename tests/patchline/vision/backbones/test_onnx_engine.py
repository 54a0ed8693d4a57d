"""Backbones in ONNX Runtime."""

import numpy as np
import pytest

from patchline.vision.backbones.onnx_engine import OnnxEngine
from patchline.wire.errors import MisconfiguredError


def batch(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def test_maps_come_in_the_order_of_the_taps_asked_for(chain_model: bytes) -> None:
    engine = OnnxEngine(chain_model, ("tap3", "tap1"), threads=1)
    maps = engine.run(batch(2, 3, 32, 48))
    assert engine.taps == ("tap3", "tap1")
    assert {tap: array.shape for tap, array in maps.items()} == {"tap3": (2, 6, 4, 6), "tap1": (2, 4, 16, 24)}
    assert list(maps) == ["tap3", "tap1"]
    assert all(array.dtype == np.float32 for array in maps.values())


def test_any_size_and_batch_can_follow_any_other(chain_model: bytes) -> None:
    engine = OnnxEngine(chain_model, ("tap1",))
    engine.warm_up((64, 32), batch_size=2)
    for shape in ((1, 3, 8, 8), (5, 3, 64, 32), (1, 3, 32, 80)):
        assert engine.run(batch(*shape))["tap1"].shape == (shape[0], 4, shape[2] // 2, shape[3] // 2)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_picture_has_the_same_maps_alone_as_in_a_batch(chain_model: bytes, threads: int) -> None:
    engine, pictures = OnnxEngine(chain_model, ("tap3",), threads=threads), batch(4, 3, 32, 32)
    together = engine.run(pictures)["tap3"]
    for index in range(4):
        alone = engine.run(pictures[index : index + 1])["tap3"][0]
        np.testing.assert_allclose(alone, together[index], rtol=1e-5, atol=1e-6)


def test_the_input_is_not_changed(chain_model: bytes) -> None:
    pictures = batch(1, 3, 16, 16)
    before = pictures.copy()
    OnnxEngine(chain_model, ("tap1",)).run(pictures)
    np.testing.assert_array_equal(pictures, before)


def test_a_file_that_is_no_model_is_refused_by_its_name() -> None:
    with pytest.raises(MisconfiguredError, match=r"cannot be loaded.*weights/b\.onnx"):
        OnnxEngine(b"junk", ("tap1",), where="weights/b.onnx")


def test_a_model_the_runtime_cannot_load_is_refused_by_its_name(chain_model: bytes) -> None:
    unknown_operator = chain_model.replace(b"Conv", b"Conw")
    with pytest.raises(MisconfiguredError, match=r"cannot be loaded.*weights/b\.onnx"):
        OnnxEngine(unknown_operator, ("tap1",), where="weights/b.onnx")


def test_an_input_the_network_cannot_take_is_refused_with_its_shape(chain_model: bytes) -> None:
    engine = OnnxEngine(chain_model, ("tap3",), where="weights/b.onnx")
    with pytest.raises(MisconfiguredError, match=r"shape \(1, 5, 8, 8\).*weights/b\.onnx"):
        engine.run(batch(1, 5, 8, 8))


def test_a_tap_the_model_lacks_is_refused_by_the_files_name(chain_model: bytes) -> None:
    with pytest.raises(MisconfiguredError, match=r"no output 'tap9'.*weights/b\.onnx"):
        OnnxEngine(chain_model, ("tap9",), where="weights/b.onnx")
