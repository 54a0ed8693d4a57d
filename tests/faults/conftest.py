"""The ground that all torture rounds of a test run stand on."""

from pathlib import Path

import pytest

from analytics_service.engines import default_backbone
from benchmarks.torture.ground import Ground, prepare
from line_replay.broker import find_mosquitto
from vision.backbones import BACKBONES, store
from wire_contract.errors import MisconfiguredError


@pytest.fixture(scope="session")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    """Small drawn pictures, and two stations commissioned with the packaged backbone."""
    if find_mosquitto() is None:
        pytest.skip("Mosquitto is not installed (apt install mosquitto)")
    try:
        store.find(BACKBONES[default_backbone()])
    except MisconfiguredError as error:
        pytest.skip(f"no backbone: {error}")
    folder: Path = tmp_path_factory.mktemp("ground")
    return prepare(folder)
