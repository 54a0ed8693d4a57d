"""Detectors on a device give what the detectors of numpy give, from the same tensors."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from patchline.vision.detectors import DETECTORS
from patchline.vision.detectors.protocol import Detector, Rendering
from patchline.wire.errors import MisconfiguredError

pytestmark = pytest.mark.torch
torch = pytest.importorskip("torch", reason="the torch extra is not installed")

from patchline.vision.gpu.fapm import TorchFapm  # noqa: E402 - needs torch
from patchline.vision.gpu.patchcore import TorchPatchCore  # noqa: E402 - needs torch

Draw = Callable[..., Any]
KINDS: dict[str, Any] = {"fapm": TorchFapm, "patchcore": TorchPatchCore}
SIZE = (96, 64)
PIXELS = {"float16": torch.float16, "bfloat16": torch.bfloat16}
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")

CHOICES = [
    ("patchcore", {"coreset_ratio": 0.1}),
    ("patchcore", {"neighbours": 0}),
    ("patchcore", {"score": "peak"}),
    ("patchcore", {"grid": [5, 3], "neighbours": 500}),
    ("patchcore", {"sigma": 0.0}),
    ("fapm", {}),
    ("fapm", {"cells": [5, 3], "adaptive": "off"}),
    ("fapm", {"cells": [3, 2], "neighbours": 50}),
    ("fapm", {"score": "top"}),
    ("fapm", {"score": "contrast"}),
    ("fapm", {"layer_wise": False, "neighbours": 0}),
    ("fapm", {"patch_wise": False, "layer_weights": [1.0, 0.25]}),
    ("fapm", {"grid": [6, 4]}),
]


def fitted(name: str, parameters: dict[str, Any], maps: Any) -> Detector:
    return DETECTORS[name].fit([maps], seed=3, **parameters)


def in_numpy(detector: Detector, maps: Any) -> tuple[np.ndarray, Rendering]:
    found = detector.search(detector.embed(maps))
    return found.patch, detector.render(found, SIZE)


def on_device(
    detector: Detector, maps: Any, *, device: str = "cpu", precision: str = "float32", compiled: bool = False
) -> Any:
    dtype = PIXELS.get(precision, torch.float32)
    tensors = {tap: torch.from_numpy(array).to(device, dtype) for tap, array in maps.items()}
    chosen: dict[str, Any] = {"device": device, "precision": precision, "compiled": compiled}
    kind = KINDS[detector.name](detector.tensors(), detector.parameters, **chosen)
    scores = kind.search(tensors)
    return scores.patch.cpu().numpy(), kind.render(scores.patch, SIZE).cpu().numpy(), scores.image.cpu().numpy()


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=needs_cuda)])
@pytest.mark.parametrize(("name", "parameters"), CHOICES, ids=str)
def test_scores_and_maps_are_those_of_numpy(
    name: str, parameters: dict[str, Any], device: str, draw_maps: Draw
) -> None:
    detector = fitted(name, parameters, draw_maps(6, seed=0))
    others = draw_maps(4, seed=1, spread=2.0)
    wanted_patch, wanted = in_numpy(detector, others)
    patch, maps, scores = on_device(detector, others, device=device)
    np.testing.assert_allclose(patch, wanted_patch, rtol=1e-4)
    np.testing.assert_allclose(maps, wanted.maps, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(scores, wanted.scores, rtol=1e-3)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=needs_cuda)])
@pytest.mark.parametrize("precision", ["float16", "bfloat16", "tf32"])
@pytest.mark.parametrize(("name", "parameters"), [("patchcore", {}), ("fapm", {})], ids=str)
def test_less_precision_keeps_the_order_of_the_pictures(
    name: str, parameters: dict[str, Any], precision: str, device: str, draw_maps: Draw
) -> None:
    detector = fitted(name, parameters, draw_maps(6, seed=0))
    others = draw_maps(8, seed=1, spread=3.0)
    wanted_patch, wanted = in_numpy(detector, others)
    patch, _, scores = on_device(detector, others, device=device, precision=precision)
    assert scores.argsort().tolist() == wanted.scores.argsort().tolist()
    np.testing.assert_allclose(patch, wanted_patch, rtol=0.02)


@pytest.mark.parametrize(("name", "parameters"), CHOICES, ids=str)
def test_a_picture_scores_the_same_alone_as_in_a_batch(name: str, parameters: dict[str, Any], draw_maps: Draw) -> None:
    detector = fitted(name, parameters, draw_maps(6, seed=0))
    others = draw_maps(3, seed=1)
    _, _, together = on_device(detector, others)
    alone = [on_device(detector, {tap: array[at : at + 1] for tap, array in others.items()})[2] for at in range(3)]
    np.testing.assert_allclose(np.concatenate(alone), together, rtol=1e-5)


@pytest.mark.parametrize("name", KINDS)
def test_a_picture_of_the_bank_scores_zero(name: str, draw_maps: Draw) -> None:
    normal = draw_maps(2, seed=0)
    detector = fitted(name, {"coreset_ratio": 1.0}, normal)
    patch, _, scores = on_device(detector, normal)
    np.testing.assert_allclose(patch, 0, atol=1e-4)  # pooling on a device rounds otherwise than numpy's
    np.testing.assert_allclose(scores, 0, atol=1e-4)


@pytest.mark.parametrize("name", KINDS)
def test_a_parameter_that_is_not_carried_is_refused_by_name(name: str, draw_maps: Draw) -> None:
    detector = fitted(name, {}, draw_maps(2, seed=0))
    with pytest.raises(MisconfiguredError, match="does not carry sorcery = 'on'"):
        KINDS[name](detector.tensors(), {**detector.parameters, "sorcery": "on"})


@pytest.mark.parametrize(("name", "parameters"), [("patchcore", {}), ("fapm", {})])
def test_maps_of_another_kind_are_refused(name: str, parameters: dict[str, Any], draw_maps: Draw) -> None:
    detector = fitted(name, parameters, draw_maps(2, seed=0))
    others = draw_maps(1, seed=1)
    others = {tap: array[:, 1:] for tap, array in others.items()}
    with pytest.raises(MisconfiguredError, match="was learnt"):
        on_device(detector, others)


@pytest.mark.parametrize("name", KINDS)
def test_what_is_compiled_gives_the_same(name: str, draw_maps: Draw, monkeypatch: pytest.MonkeyPatch) -> None:
    traced = partial(torch.compile, backend="eager")  # the tracing is ours to prove, the compiler is torch's
    monkeypatch.setattr(torch, "compile", traced)
    detector = fitted(name, {}, draw_maps(3, seed=0))
    for count in (1, 3):
        others = draw_maps(count, seed=1)
        for found, wanted in zip(on_device(detector, others, compiled=True), on_device(detector, others), strict=True):
            np.testing.assert_array_equal(found, wanted)
