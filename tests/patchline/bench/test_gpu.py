"""The benchmark of the torch path, in small and on the CPU; on a GPU where there is one."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.torch
torch = pytest.importorskip("torch", reason="the torch extra is not installed")

from patchline.bench.gpu.command import main  # noqa: E402 - needs torch
from patchline.bench.gpu.timing import seconds_a_call  # noqa: E402 - needs torch

ROOT = Path(__file__).resolve().parents[3]
SMALL = ["--size", "64", "--normal", "3", "--test", "4", "--seconds", "0.005", "--rounds", "1", "--device", "cpu"]
ONLY = """
import sys
TORCH_S_OWN = {"sympy", "mpmath", "networkx", "jinja2", "markupsafe", "filelock", "fsspec", "typing_extensions"}
ALLOWED = {"torch", "torchgen", "functorch", "numpy", "PIL", *TORCH_S_OWN, *sys.stdlib_module_names}
OURS = {"patchline"}

class Refuse:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in ALLOWED | OURS:
            raise ModuleNotFoundError(f"{top} is refused", name=top)

sys.meta_path.insert(0, Refuse())
import runpy
runpy.run_module("patchline.bench.gpu", run_name="__main__", alter_sys=True)
"""


def measured(tmp_path: Path, *arguments: str) -> dict[str, Any]:
    file = tmp_path / "gpu.json"
    assert main([*SMALL, *arguments, "--json", str(file)]) == 0
    document: dict[str, Any] = json.loads(file.read_text())
    return document


def test_it_needs_torch_numpy_and_pillow_and_nothing_else(tmp_path: Path) -> None:
    arguments = [*SMALL, "--backbones", "patchline_s", "--batch", "1", "--json", str(tmp_path / "gpu.json")]
    done = subprocess.run(
        [sys.executable, "-c", ONLY, *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "decoding is not counted" in done.stdout
    assert len(json.loads((tmp_path / "gpu.json").read_text())["rows"]) == 2


def test_a_row_tells_the_whole_path_beside_the_backbone_and_a_stamp(tmp_path: Path) -> None:
    document = measured(tmp_path, "--backbones", "patchline_s", "--batch", "1,3", "--detectors", "fapm")
    assert [(row["detector"], row["batch"]) for row in document["rows"]] == [("fapm", 1), ("fapm", 3)]
    for row in document["rows"]:
        assert row["pictures_per_second"] > 0
        share = row["pictures_per_second"] / row["backbone_pictures_per_second"]
        assert row["share_of_backbone_rate"] == pytest.approx(share)
        assert row["order_kept"] == 1
        assert [channels for _, channels in row["banks"]] == [16, 40]
    assert {"machine", "versions", "commit", "seed", "configuration"} <= document.keys()


def test_less_precision_is_measured_against_float32(tmp_path: Path) -> None:
    document = measured(tmp_path, "--backbones", "patchline_s", "--batch", "2", "--precision", "bfloat16")
    for row in document["rows"]:
        assert 0 < row["score_difference"] < 0.1
        assert 0.5 <= row["order_kept"] <= 1


def test_random_weights_are_named_so(tmp_path: Path) -> None:
    document = measured(tmp_path, "--backbones", "wide_resnet50_2", "--batch", "1", "--detectors", "patchcore")
    assert document["rows"][0]["backbone"] == "wide_resnet50_2 (random weights)"
    assert document["rows"][0]["banks"] == [[20, 1536]]


@pytest.mark.data
def test_real_pictures_can_be_measured(tmp_path: Path, real_data: Path) -> None:
    bottle = real_data / "mvtec_ad" / "bottle"
    if not bottle.is_dir():
        pytest.skip("PATCHLINE_DATA has no mvtec_ad/bottle")
    document = measured(
        tmp_path, "--backbones", "patchline_s", "--batch", "1", "--data", str(bottle), "--detectors", "fapm"
    )
    assert document["configuration"]["pictures"] == "bottle"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")
@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_a_gpu_is_measured_and_keeps_the_order(tmp_path: Path, precision: str) -> None:
    document = measured(
        tmp_path, "--device", "cuda", "--backbones", "patchline_s", "--batch", "1,4", "--precision", precision
    )
    assert min(row["order_kept"] for row in document["rows"]) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--size", "32"], "'32' is no size"),
        (["--backbones", "inception"], "no backbone is called 'inception'"),
        (["--device", "nonsense"], "torch cannot use the device 'nonsense'"),
        (["--data", "/nowhere"], "/nowhere"),
    ],
)
def test_what_cannot_be_measured_is_said(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SMALL, "--backbones", "patchline_s", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_weights_that_are_not_here_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PATCHLINE_WEIGHTS", raising=False)
    assert main([*SMALL, "--backbones", "resnet50_v2_trunk"]) == 2
    assert "resnet50_v2_trunk.onnx was not found; point PATCHLINE_WEIGHTS at its folder" in capsys.readouterr().err


def test_steps_take_turns_and_the_median_is_given() -> None:
    calls: list[str] = []
    steps = {name: lambda count, name=name: calls.extend([name] * count) for name in ("one", "two")}
    taken = seconds_a_call(steps, torch.device("cpu"), seconds=1e-9, rounds=2)
    assert set(taken) == {"one", "two"}
    assert calls[-4:] == ["one", "two", "one", "two"]
