"""The dashboard shows metrics that exist, and every metric is on it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from analytics_service.metrics import Metrics
from edge_node.metrics import EdgeMetrics
from edge_node.rows import OutboxState

ROOT = Path(__file__).resolve().parents[2]
DASHBOARD: dict[str, Any] = json.loads((ROOT / "dashboards/grafana/dashboards/line.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
METRIC = re.compile(r"\bvad_(?:edge|analytics)_[a-z_]+")


def families(registry: CollectorRegistry) -> dict[str, str]:
    return {family.name: family.type for family in registry.collect()}


@pytest.fixture(scope="module")
def known() -> dict[str, str]:
    edge = EdgeMetrics()
    edge.watch_outbox(lambda: OutboxState(rows=0, bytes=0, budget_bytes=1, oldest_captured_at=None))
    service = Metrics(CollectorRegistry())
    return families(edge.registry) | families(service.registry)


def family_of(name: str, known: dict[str, str]) -> str | None:
    stems = (name, *(name.removesuffix(suffix) for suffix in ("_total", "_bucket", "_sum", "_count")))
    return next((stem for stem in stems if stem in known), None)


def asked() -> set[str]:
    return {name for panel in PANELS for target in panel["targets"] for name in METRIC.findall(target["expr"])}


def test_every_panel_asks_only_for_metrics_that_exist(known: dict[str, str]) -> None:
    assert {name for name in asked() if family_of(name, known) is None} == set()


def test_every_metric_is_read_by_some_panel(known: dict[str, str]) -> None:
    assert set(known) - {family_of(name, known) for name in asked()} == set()


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_every_panel_has_a_unit_a_legend_and_the_provisioned_source(panel: dict[str, Any]) -> None:
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert all(target["legendFormat"] for target in panel["targets"])
    assert panel["datasource"]["uid"] == "patchline-prometheus"


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        taken |= cells
