"""The ground that all torture rounds of a test run stand on."""

from pathlib import Path

import pytest

from patchline.artifacts.engines import default_backbone
from patchline.replay.broker import find_mosquitto
from patchline.vision.backbones import BACKBONES, store
from patchline.wire.errors import MisconfiguredError
from tests.rigs.torture.ground import Ground, prepare


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
