"""The dashboards are what their code says, show metrics that exist, and leave none out."""

import json
import re
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from analytics_service.broker_metrics import BrokerFigures
from analytics_service.metrics import Metrics
from dashboards.metrics_page import families
from dashboards.write import DASHBOARDS, FOLDER, files
from edge_node.metrics import EdgeMetrics
from edge_node.outbox.rows import OutboxState

BOARDS: dict[str, dict[str, Any]] = {path.stem: json.loads(path.read_text()) for path in FOLDER.glob("*.json")}
PANELS = [panel for board in BOARDS.values() for panel in board["panels"] if panel["type"] != "row"]
METRIC = re.compile(r"\bvad_(?:edge|analytics)_[a-z_]+")
UNITS = {"short", "none", "s", "bytes", "Bps", "percentunit"}


@pytest.fixture(scope="module")
def known() -> set[str]:
    edge = EdgeMetrics()
    edge.watch_outbox(lambda: OutboxState(rows=0, bytes=0, budget_bytes=1, oldest_captured_at=None))
    found = [*edge.registry.collect(), *Metrics(CollectorRegistry()).registry.collect(), *BrokerFigures.everything()]
    return {family.name for family in found if not family.name.startswith("process_")}


def family_of(name: str, known: set[str]) -> str | None:
    stems = (name, *(name.removesuffix(suffix) for suffix in ("_total", "_bucket", "_sum", "_count")))
    return next((stem for stem in stems if stem in known), None)


def asked() -> set[str]:
    return {name for panel in PANELS for target in panel["targets"] for name in METRIC.findall(target["expr"])}


@pytest.mark.parametrize("path", files(), ids=lambda path: path.name)
def test_a_file_made_from_code_is_the_one_the_code_makes(path: Any) -> None:
    assert path.read_text() == files()[path], "run python -m dashboards.write"


def test_there_is_no_dashboard_without_its_code() -> None:
    assert BOARDS.keys() == DASHBOARDS.keys()


def test_every_panel_asks_only_for_metrics_that_exist(known: set[str]) -> None:
    assert {name for name in asked() if family_of(name, known) is None} == set()


def test_every_metric_is_read_by_some_panel(known: set[str]) -> None:
    assert known - {family_of(name, known) for name in asked()} == set()


def test_every_metric_is_on_the_reference_page(known: set[str]) -> None:
    assert {family.name for _, found in families() for family in found} == known


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_every_panel_has_a_unit_a_legend_a_meaning_and_the_provisioned_source(panel: dict[str, Any]) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    assert defaults["unit"] in UNITS
    assert panel["description"]
    assert panel["datasource"] == {"type": "prometheus", "uid": "patchline-prometheus"}
    assert [target["refId"] for target in panel["targets"]] == list("ABCDEFGH"[: len(panel["targets"])])
    assert all(target["legendFormat"] and target["range"] != target["instant"] for target in panel["targets"])
    assert defaults["thresholds"]["steps"][0]["value"] is None
    values = [step["value"] for step in defaults["thresholds"]["steps"][1:]]
    assert values == sorted(values)


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_panels_have_their_own_ids_and_places(board: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_a_board_uses_the_variables_it_declares(board: dict[str, Any]) -> None:
    declared = {variable["name"] for variable in board["templating"]["list"]}
    used = set(re.findall(r"\$([a-z]+)", json.dumps(board["panels"])))
    assert used == declared
