"""A drawn category, and the installed program run on it as a person would."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from patchline.artifacts.engines import default_backbone
from patchline.pictures.products import PRODUCTS
from patchline.pictures.products.category import write_category
from patchline.replay.broker import find_mosquitto
from patchline.vision.backbones import BACKBONES, store
from patchline.wire.errors import MisconfiguredError


@dataclass(frozen=True)
class Done:
    """A finished run."""

    code: int
    output: str
    directory: Path

    @property
    def report(self) -> Any:
        return json.loads((self.directory / "report.json").read_bytes())


@pytest.fixture(scope="session")
def category(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn washers: 24 good ones to learn from, 16 to test with, most of them defective."""
    folder = tmp_path_factory.mktemp("drawn") / "washer"
    write_category(PRODUCTS["washer"], folder, train=24, test_good=6, test_per_defect=2, size=(128, 128), seed=5)
    return folder


@pytest.fixture
def patchline(tmp_path: Path) -> Callable[..., Done]:
    """Run the program with a report folder of the test's own; skips where nothing can run it."""
    if find_mosquitto() is None:
        pytest.skip("Mosquitto is not installed (apt install mosquitto)")
    try:
        store.find(BACKBONES[default_backbone()])
    except MisconfiguredError as error:
        pytest.skip(f"no backbone: {error}")

    def run(verb: str, *arguments: str, report: str = "report") -> Done:
        directory = tmp_path / report
        command = [sys.executable, "-m", "patchline", verb, *arguments, "--report", str(directory)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=250, env=environment)
        return Done(done.returncode, done.stdout + done.stderr, directory)

    return run
