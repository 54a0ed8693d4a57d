"""Backbones in 8-bit integers: what they keep of the float ones, and that each goes by its own name."""

import sys
from pathlib import Path

import numpy as np
import pytest

from patchline.vision.backbones import BACKBONES, quantisation, store
from patchline.vision.backbones.graph import cut
from patchline.vision.backbones.lookup import backbone_of, every_backbone, int8_of
from patchline.vision.backbones.onnx_engine import OnnxEngine
from patchline.wire.errors import MisconfiguredError

SPEC = BACKBONES["patchline_s"]
TAPS = SPEC.default_taps


@pytest.fixture(scope="module")
def batch() -> np.ndarray:
    """Smooth noise: nothing of a network saturates as it may on white noise."""
    coarse = np.random.default_rng(0).standard_normal((6, 3, 12, 12)).astype(np.float32)
    return coarse.repeat(8, axis=2).repeat(8, axis=3)


@pytest.fixture(scope="module")
def model() -> bytes:
    try:
        return store.find(SPEC).read()
    except MisconfiguredError:
        pytest.skip("this copy of patchline ships without weights")


@pytest.fixture(scope="module")
def made(model: bytes, batch: np.ndarray) -> quantisation.Quantised:
    pytest.importorskip("onnx", reason="the torch extra is not installed")
    return quantisation.quantise(model, TAPS, batch)


@pytest.mark.torch
def test_a_quantised_backbone_gives_nearly_the_same_features(
    model: bytes, made: quantisation.Quantised, batch: np.ndarray
) -> None:
    exact = quantisation.maps_of(OnnxEngine(model, TAPS), batch)
    found = quantisation.maps_of(OnnxEngine(made.model, TAPS), batch)
    errors = quantisation.relative_errors(exact, found)
    assert tuple(errors) == TAPS
    assert 0.001 < max(errors.values()) < 0.2
    assert max(errors.values()) == pytest.approx(made.worst_errors[made.float_convolutions])
    assert len(made.model) < 0.8 * len(model)


@pytest.mark.torch
def test_as_few_convolutions_are_left_in_float_as_the_errors_allow(made: quantisation.Quantised) -> None:
    limit = quantisation.TOLERATED * min(made.worst_errors)
    assert len(made.worst_errors) == quantisation.MOST_FLOAT + 1
    assert made.worst_errors[made.float_convolutions] <= limit
    assert all(error > limit for error in made.worst_errors[: made.float_convolutions])


@pytest.mark.torch
@pytest.mark.parametrize("tap", TAPS)
def test_a_quantised_model_can_be_cut_at_each_tap(made: quantisation.Quantised, batch: np.ndarray, tap: str) -> None:
    part = cut(made.model, [tap])
    assert OnnxEngine(part, [tap]).taps == (tap,)
    assert len(part) < len(made.model) or tap == TAPS[-1]
    np.testing.assert_array_equal(OnnxEngine(part, [tap]).run(batch)[tap], OnnxEngine(made.model, TAPS).run(batch)[tap])


@pytest.mark.torch
def test_it_takes_other_sizes_than_it_was_calibrated_on(made: quantisation.Quantised) -> None:
    maps = OnnxEngine(made.model, TAPS).run(np.zeros((2, 3, 64, 160), np.float32))
    assert maps["stride8"].shape == (2, 16, 8, 20)


@pytest.mark.torch
def test_weights_of_seven_bits_are_weights_of_their_own(
    model: bytes, made: quantisation.Quantised, batch: np.ndarray
) -> None:
    narrow = quantisation.quantise(model, TAPS, batch, reduce_range=True)
    assert narrow.model != made.model
    assert min(narrow.worst_errors) > min(made.worst_errors)


def test_without_pictures_or_the_extra_nothing_is_made(
    model: bytes, batch: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(MisconfiguredError, match="no picture"):
        quantisation.quantise(model, TAPS, batch[:0])
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MisconfiguredError, match="onnx"):
        quantisation.quantise(model, TAPS, batch)


def test_a_quantised_form_is_found_by_its_full_name_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATCHLINE_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(store, "PACKAGED", tmp_path / "packaged")
    coarse = backbone_of("patchline_s:int8")
    with pytest.raises(MisconfiguredError, match=r"weights quantise patchline_s --taps stride8,stride16"):
        store.find(coarse)
    source = tmp_path / "float.onnx"
    source.write_bytes(b"float")
    path = store.save_export(b"int8", coarse, TAPS, checkpoint=source, folder=tmp_path)
    assert path.name == "patchline_s-int8.all.onnx"
    found = store.find(coarse)
    assert found.path == path
    assert store.find_by_sha256(coarse, found.sha256) == found
    assert store.find_by_sha256(SPEC, found.sha256) is None
    with pytest.raises(MisconfiguredError, match="no file of backbone patchline_s "):
        store.find(SPEC)
    path.write_bytes(b"another")
    with pytest.raises(MisconfiguredError, match="not the patchline_s:int8 it should be"):
        store.find(coarse)


def test_every_backbone_has_a_quantised_form_under_one_name() -> None:
    for spec in BACKBONES.values():
        coarse = int8_of(spec)
        assert backbone_of(coarse.name) == coarse
        assert backbone_of(spec.name) is spec
        assert coarse.quantised
        assert not spec.quantised
        assert not coarse.files
        assert coarse.taps == spec.taps
    assert len({spec.name for spec in every_backbone()}) == 2 * len(BACKBONES)


@pytest.mark.parametrize("name", ["resnet19", "resnet19:int8", "resnet18:int4", ":int8", "resnet18:int8:int8"])
def test_an_unknown_name_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(MisconfiguredError, match=r"use one of: patchline_s, .*:int8 behind a name"):
        backbone_of(name)
