"""A real Prometheus that scrapes a real line answers every query of every panel."""

import shutil
import time
from pathlib import Path

import pytest

from analytics_service.engines import default_backbone
from benchmarks.panels.__main__ import page
from benchmarks.panels.answers import ask
from benchmarks.panels.watched_line import WatchedLine
from dashboards.write import DASHBOARDS
from line_replay.broker import find_mosquitto
from vision.backbones import BACKBONES, store
from wire_contract.errors import MisconfiguredError


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
            answers = {name: ask(line.address, board, began=began) for name, board in DASHBOARDS.items()}
            empty = [
                (one.panel.title, query.expression) for each in answers.values() for one in each for query in one.empty
            ]
            if not empty or time.monotonic() > deadline:
                break
    assert empty == []
    assert "**nothing**" not in page(answers, 5.0)
