"""A real Prometheus that scrapes a real line answers every query of every panel."""

import shutil
import time
from pathlib import Path

import pytest

from dashboards.write import DASHBOARDS
from patchline.artifacts.engines import default_backbone
from patchline.replay.broker import find_mosquitto
from patchline.vision.backbones import BACKBONES, store
from patchline.wire.errors import MisconfiguredError
from tests.rigs.panels.answers import unanswered
from tests.rigs.panels.watched_line import WatchedLine


@pytest.mark.broker
@pytest.mark.slow
def test_every_query_of_every_panel_returns_data(tmp_path: Path) -> None:
    if shutil.which("prometheus") is None or find_mosquitto() is None:
        pytest.skip("Prometheus or Mosquitto is not installed (apt install prometheus mosquitto)")
    try:
        store.find(BACKBONES[default_backbone()])
    except MisconfiguredError as error:
        pytest.skip(f"no backbone: {error}")
    line = WatchedLine(tmp_path)
    with line.running():
        began, deadline = time.time(), time.monotonic() + 120
        while True:
            time.sleep(2.0)
            empty = [each for board in DASHBOARDS.values() for each in unanswered(line.address, board, began=began)]
            if not empty or time.monotonic() > deadline:
                break
    assert empty == []
