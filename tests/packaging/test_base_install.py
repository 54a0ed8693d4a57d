"""The base install is the edge node: small, and complete without any extra."""

import os
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
MOST_BYTES = 250_000_000
TORCH_ONLY = ("patchline.vision.gpu.", "patchline.vision.backbones.")

PACKAGES = {"patchline", "edge_node", "analytics_service", "broker_config"}
HEAVY = {"torch", "faiss", "cv2", "sqlalchemy", "scipy", "matplotlib", "amqtt", "sklearn", "cryptography"}

IMPORT_EVERYTHING = """
import importlib, pkgutil, sys
from patchline import mqtt, pictures, runtime, vision, wire
import edge_node
needs_extra = []
for package in (edge_node, mqtt, pictures, runtime, vision, wire):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as missing:
            if missing.name not in {"torch", "onnx"}:
                raise
            needs_extra.append(module.name)
print(*needs_extra)
print(*sys.modules)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # A build leaves its work beside the sources; it gets a copy of them, so that the checkout stays as it was.
    sources, out = tmp_path_factory.mktemp("sources") / "patchline", tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT, sources, ignore=shutil.ignore_patterns(".*", "build", "dist", "runs", "*.egg-info", "tests"))
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(
        [*build, "--wheel-dir", out, sources], capture_output=True, text=True, check=False, timeout=280
    )
    if done.returncode != 0 and "CI" not in os.environ:
        pytest.skip(f"no package registry to build with: {done.stderr.strip()[-200:]}")
    assert done.returncode == 0, done.stderr
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def base_environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    venv.create(folder, with_pip=True)
    install = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*install, wheel], capture_output=True, text=True, check=False, timeout=280)
    if done.returncode != 0 and "CI" not in os.environ:
        pytest.skip(f"no package registry to install from: {done.stderr.strip()[-200:]}")
    assert done.returncode == 0, done.stderr
    return folder


def bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


@pytest.mark.slow
def test_the_base_install_is_an_edge_node_of_under_250_megabytes(base_environment: Path) -> None:
    # pip is the environment's, not ours: an edge node's image drops it
    packages = base_environment / f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    assert bytes_in(packages) - bytes_in(packages / "pip") < MOST_BYTES


@pytest.mark.slow
def test_the_wheel_holds_the_packages_of_the_design_and_nothing_else(wheel: Path) -> None:
    top = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in top if not name.endswith(".dist-info")} == PACKAGES


@pytest.mark.slow
def test_without_a_tag_and_without_git_the_version_is_the_fallback(base_environment: Path) -> None:
    done = subprocess.run(
        [base_environment / "bin/patchline", "--version"], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["patchline", PROJECT["tool"]["setuptools_scm"]["fallback_version"]]


@pytest.mark.slow
def test_every_module_of_the_edge_imports_without_an_extra(base_environment: Path) -> None:
    """Only what runs on a GPU asks for torch."""
    done = subprocess.run(
        [base_environment / "bin/python", "-c", IMPORT_EVERYTHING],
        capture_output=True, text=True, check=False, cwd=base_environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    needs_extra, loaded = (set(line.split()) for line in done.stdout.splitlines())
    assert {name for name in needs_extra if not name.startswith(TORCH_ONLY)} == set()
    assert loaded & HEAVY == set()


@pytest.mark.slow
@pytest.mark.parametrize(("verb", "extra"), [("serve", "analytics"), ("demo", "analytics"), ("provision", "site")])
def test_a_command_of_an_extra_names_the_extra_it_needs(base_environment: Path, verb: str, extra: str) -> None:
    site = ["--out", "site", "--site", "north", "--broker-host", "broker"]
    arguments = {"serve": ["--config", "missing.toml"], "provision": site}.get(verb, [])
    done = subprocess.run(
        [base_environment / "bin/patchline", verb, *arguments],
        capture_output=True, text=True, check=False, cwd=base_environment,
    )  # fmt: skip
    assert done.returncode == 2
    assert f"patchline[{extra}" in done.stderr or "missing.toml" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_the_packaged_backbone_comes_with_the_base_install(base_environment: Path, tmp_path: Path) -> None:
    nothing_cached = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    command: list[str | Path] = [base_environment / "bin/patchline", "weights", "list"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=nothing_cached)
    assert done.returncode == 0, done.stderr
    line = next(line for line in done.stdout.splitlines() if line.startswith("patchline_s"))
    assert "packaged/patchline_s.onnx" in line
