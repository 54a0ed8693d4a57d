"""`patchline commission` and `patchline serve --check`, as a person types them."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from patchline.cli.app import app
from patchline.cli.threads import bound_threads
from patchline.vision.backbones import BACKBONES
from patchline.wire.errors import EXIT_MISCONFIGURED


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def commissioned(data: Path, out: Path, *more: object) -> Result:
    size = ("--input-size", "64x64", "--backbone", "mobilenet_v2", "--tap", "features.6", "--tap", "features.13")
    return run("commission", "--data", data, "--station", "plant/l/s", "--out", out, *size, *more)


def test_commission_writes_and_says_what_it_found(plant: Any, tmp_path: Path) -> None:
    result = commissioned(plant.pictures, tmp_path / "out", "--codec", "png", "--parameter", "coreset_ratio=0.3")
    assert result.exit_code == 0, result.output
    for word in ("threshold", "false rejects", "payload", "assets", "16 good pictures", "png.safetensors"):
        assert word in result.output
    assert "estimated from 16 pictures; 83 more good pictures" in " ".join(result.output.split())
    config = tmp_path / "analytics.toml"
    config.write_text(f"artifacts = '{tmp_path / 'out'}'")
    checked = run("serve", "--config", config, "--check")
    assert checked.exit_code == 0, checked.output
    assert "with 1 artifacts for plant/l/s" in " ".join(checked.output.split())


def test_commission_says_what_more_pictures_would_bring_and_what_the_fit_found_out(plant: Any, tmp_path: Path) -> None:
    data = tmp_path / "few"
    data.mkdir()
    for path in sorted(plant.pictures.rglob("*.png"))[:3]:
        (data / path.name).write_bytes(path.read_bytes())
    result = commissioned(data, tmp_path / "out", "--detector", "fapm")
    assert result.exit_code == 0, result.output
    said = " ".join(result.output.split())
    assert "'uncalibrated': 6 more give one that bounds false rejects at 28%; 96 more" in said
    assert "share doubled.1" in said


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (("--codec", "jpeg2000"), "jpeg2000"),
        (("--parameter", "coreset_ratio"), "NAME=VALUE"),
        (("--parameter", "coreset_ratio=7"), "coreset_ratio"),
        (("--input-size", "large"), "HEIGHTxWIDTH"),
        (("--backbone", "resnet99"), ", ".join(BACKBONES)),
        (("--station", "cam1"), "site/line/station"),
    ],
)
def test_a_wrong_argument_is_one_line_and_exit_2(plant: Any, tmp_path: Path, more: tuple[str, ...], named: str) -> None:
    result = commissioned(plant.pictures, tmp_path / "out", *more)
    assert result.exit_code == EXIT_MISCONFIGURED
    assert named in result.output
    assert "Traceback" not in result.output
    assert not (tmp_path / "out").exists()


def test_linear_algebra_gets_the_threads_of_the_backbone_unless_the_environment_decides(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    bound_threads(2)
    assert (os.environ["OMP_NUM_THREADS"], os.environ["OPENBLAS_NUM_THREADS"]) == ("3", "1")


@pytest.mark.parametrize("verb", ["serve", "commission"])
def test_numpy_is_not_imported_before_its_threads_are_bounded(verb: str) -> None:
    code = f"import sys; from patchline.cli.verbs import load; load({verb!r}); sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_serve_refuses_a_folder_without_artifacts(tmp_path: Path) -> None:
    config = tmp_path / "analytics.toml"
    config.write_text(f"artifacts = '{tmp_path}'")
    result = run("serve", "--config", config, "--check")
    assert result.exit_code == EXIT_MISCONFIGURED
    assert "patchline commission" in result.output
