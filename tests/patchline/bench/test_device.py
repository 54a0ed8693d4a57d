"""The benchmark of the torch path, in small and on the CPU; on a GPU where there is one."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.torch
torch = pytest.importorskip("torch", reason="the torch extra is not installed")

from patchline.bench.detectors.device_path import Effort, Pictures, contestant, measure  # noqa: E402 - needs torch
from patchline.bench.detectors.device_timing import seconds_a_call  # noqa: E402 - needs torch
from patchline.vision.backbones.torch_engine import Precision  # noqa: E402 - needs torch
from patchline.wire.errors import MisconfiguredError  # noqa: E402 - with the others


def measured(
    detector: str, *batches: int, backbone: str = "patchline_s", device: str = "cpu", precision: Precision = "float32"
) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (7, 64, 64, 3), dtype=np.uint8)
    pictures = Pictures("noise", noise[:3], noise[3:], np.array([False, True, False, True]))
    measured_one, exact = (
        contestant(backbone, device=device, precision=each, seed=0) for each in (precision, "float32")
    )
    effort = Effort(batches=batches, seconds=0.005, rounds=1, recorded=True)
    return measure(detector, measured_one, exact, pictures, effort, seed=0)


def test_a_row_tells_the_whole_path_as_a_share_of_the_backbone() -> None:
    rows = measured("fapm", 1, 3)
    assert [(row["detector"], row["batch"]) for row in rows] == [("fapm", 1), ("fapm", 3)]
    for row in rows:
        assert row["pictures_per_second"] > 0
        assert row["share_of_backbone_rate"] > 0
        assert row["order_kept"] == 1
        assert [channels for _, channels in row["banks"]] == [16, 40]


@pytest.mark.parametrize("detector", ["patchcore", "fapm"])
def test_less_precision_is_measured_against_float32(detector: str) -> None:
    (row,) = measured(detector, 2, precision="bfloat16")
    assert 0.5 <= row["order_kept"] <= 1


def test_random_weights_are_named_so() -> None:
    (row,) = measured("patchcore", 1, backbone="wide_resnet50_2")
    assert row["backbone"] == "wide_resnet50_2 (random weights)"
    assert row["banks"] == [[20, 1536]]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")
@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_a_gpu_is_measured_and_keeps_the_order(precision: Precision) -> None:
    rows = measured("fapm", 1, 4, device="cuda", precision=precision)
    assert min(row["order_kept"] for row in rows) == 1


def test_a_device_that_torch_cannot_use_is_named() -> None:
    with pytest.raises(MisconfiguredError, match="torch cannot use the device 'nonsense'"):
        contestant("patchline_s", device="nonsense", precision="float32", seed=0)


def test_weights_that_are_not_here_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PATCHLINE_WEIGHTS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(MisconfiguredError, match="no file of backbone resnet50_v2_trunk"):
        contestant("resnet50_v2_trunk", device="cpu", precision="float32", seed=0)


def test_steps_take_turns_and_the_median_is_given() -> None:
    calls: list[str] = []
    steps = {name: lambda count, name=name: calls.extend([name] * count) for name in ("one", "two")}
    taken = seconds_a_call(steps, torch.device("cpu"), seconds=1e-9, rounds=2)
    assert set(taken) == {"one", "two"}
    assert calls[-4:] == ["one", "two", "one", "two"]
