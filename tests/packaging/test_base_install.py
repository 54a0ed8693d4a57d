"""The base install is the edge node: small, and complete without any extra."""

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MOST_BYTES = 250_000_000

EDGE_ROOMS = """
import importlib, pkgutil, sys
import edge_node, patchline.vision.codecs, patchline.wire, patchline.mqtt, patchline.runtime, patchline.pictures
for room in (edge_node, patchline.vision.codecs, patchline.wire, patchline.mqtt, patchline.runtime, patchline.pictures):
    for module in pkgutil.walk_packages(room.__path__, room.__name__ + "."):
        importlib.import_module(module.name)
heavy = {"torch", "faiss", "cv2", "sqlalchemy", "scipy", "matplotlib", "amqtt", "sklearn", "cryptography"}
heavy &= set(sys.modules)
assert not heavy, heavy
"""


@pytest.fixture(scope="module")
def base_environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    venv.create(folder, with_pip=True)
    # A build leaves its work beside the sources; it gets a copy of them, so that the checkout stays as it was.
    sources = tmp_path_factory.mktemp("sources") / "patchline"
    shutil.copytree(ROOT, sources, ignore=shutil.ignore_patterns(".*", "build", "dist", "runs", "*.egg-info", "tests"))
    install = [folder / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(sources)]
    done = subprocess.run(install, capture_output=True, text=True, check=False, timeout=280)
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
def test_every_room_of_the_edge_imports_without_an_extra(base_environment: Path) -> None:
    done = subprocess.run(
        [base_environment / "bin/python", "-c", EDGE_ROOMS],
        capture_output=True, text=True, check=False, cwd=base_environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


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
    command = [base_environment / "bin/patchline", "weights", "list"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=nothing_cached)
    assert done.returncode == 0, done.stderr
    line = next(line for line in done.stdout.splitlines() if line.startswith("patchline_s"))
    assert "packaged/patchline_s.onnx" in line
