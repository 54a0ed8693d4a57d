"""Backbones of the service on another device than the CPU."""

import gc
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest

from patchline.artifacts.engines import EngineCache, edge_backbone
from patchline.vision.backbones import store
from patchline.vision.backbones.onnx_engine import OnnxEngine
from patchline.wire.errors import MisconfiguredError
from patchline.wire.messages import sha256_of
from tests.fixtures.commissioned_plant import BACKBONE, TAPS, store_backbone


def test_backbones_run_in_onnx_runtime_by_default() -> None:
    _, engine = EngineCache(threads=1).choose("patchline_s", ())
    assert isinstance(engine, OnnxEngine)


def test_an_engine_is_shared_while_it_is_used_and_freed_afterwards() -> None:
    engines = EngineCache(threads=1)
    key, engine = engines.choose("patchline_s", ())
    assert engines.engine_for(key, Path("artifact")) is engine
    gone = weakref.ref(engine)
    del engine
    gc.collect()
    assert gone() is None
    _, again = engines.choose("patchline_s", ())
    assert engines.engine_for(key, Path("artifact")) is again


@pytest.mark.torch
def test_any_other_device_is_torchs_and_gives_the_same_maps() -> None:
    pytest.importorskip("torch", reason="the torch extra is not installed")
    key, engine = EngineCache(threads=1).choose("patchline_s", ())
    other_key, other = EngineCache(threads=1, device="cpu:0").choose("patchline_s", ())
    assert key == other_key
    assert not isinstance(other, OnnxEngine)
    batch = np.random.default_rng(0).standard_normal((1, 3, 64, 64)).astype(np.float32)
    for tap, wanted in engine.run(batch).items():
        np.testing.assert_allclose(other.run(batch)[tap], wanted, atol=1e-4)


@pytest.mark.torch
def test_a_device_that_is_not_there_is_said_before_going_online() -> None:
    pytest.importorskip("torch", reason="the torch extra is not installed")
    with pytest.raises(MisconfiguredError, match="torch cannot use the device 'cuda:99'"):
        EngineCache(threads=1, device="cuda:99").choose("patchline_s", ())


def test_without_torch_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "patchline.vision.backbones.torch_engine", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MisconfiguredError, match=r"patchline\[torch\]"):
        EngineCache(threads=1, device="cuda").choose("patchline_s", ())


@pytest.fixture
def batch() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((1, 3, 64, 64)).astype(np.float32)


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backbone's file with two taps."""
    store_backbone(tmp_path, seed=0)
    monkeypatch.setenv("PATCHLINE_WEIGHTS", str(tmp_path))


@pytest.mark.usefixtures("weights")
def test_an_edge_node_is_sent_a_backbone_cut_at_its_taps_under_a_digest_of_its_own(batch: np.ndarray) -> None:
    pytest.importorskip("onnx", reason="the onnx package is not installed")
    key, engine = EngineCache(threads=1).choose(BACKBONE, TAPS[:1])
    named, model = edge_backbone(key)
    _, whole = edge_backbone(EngineCache(threads=1).choose(BACKBONE, TAPS)[0])
    assert model is not None
    assert whole is not None
    assert (named.name, named.taps, named.sha256) == (key.name, TAPS[:1], sha256_of(model))
    assert len(model) < len(whole)
    assert sha256_of(whole) == key.sha256
    found = OnnxEngine(model, TAPS[:1]).run(batch)
    np.testing.assert_array_equal(found[TAPS[0]], OnnxEngine(whole, TAPS).run(batch)[TAPS[0]])
    np.testing.assert_array_equal(found[TAPS[0]], engine.run(batch)[TAPS[0]])


@pytest.mark.usefixtures("weights")
def test_without_the_onnx_package_the_whole_file_is_used(monkeypatch: pytest.MonkeyPatch, batch: np.ndarray) -> None:
    monkeypatch.setattr(store, "can_cut", lambda: False)
    key, engine = EngineCache(threads=1).choose(BACKBONE, TAPS[:1])
    named, model = edge_backbone(key)
    assert model is not None
    assert named == key
    assert sha256_of(model) == key.sha256
    assert engine.run(batch)[TAPS[0]].shape == (1, 32, 8, 8)
