"""Asks Prometheus what each panel would ask it."""

import json
import time
import urllib.parse
import urllib.request
from typing import Any

from dashboards.grafana_model import Dashboard, Panel, Query

_STEP_SECONDS = 5.0
_RATE_INTERVAL = "1m"


def unanswered(address: str, dashboard: Dashboard, *, began: float) -> list[tuple[str, str]]:
    """Title and expression of each query that returns nothing, asked as Grafana would with all stations chosen.

    Args:
        address: Of Prometheus.
        dashboard: Whose panels.
        began: Since when, in seconds since the epoch, for panels over time.
    """
    return [
        (panel.title, query.expression)
        for panel in dashboard.panels
        for query in panel.queries
        if not _ask(address, panel, query, began)
    ]


def _ask(address: str, panel: Panel, query: Query, began: float) -> list[Any]:
    expression = query.expression.replace("$station", ".*").replace("$__rate_interval", _RATE_INTERVAL)
    over_time = panel.kind in {"timeseries", "heatmap"}
    parameters: dict[str, Any] = {"query": expression}
    if over_time:
        parameters |= {"start": began, "end": time.time(), "step": _STEP_SECONDS}
    place = f"{address}/api/v1/{'query_range' if over_time else 'query'}?{urllib.parse.urlencode(parameters)}"
    with urllib.request.urlopen(place, timeout=30) as answer:
        series: list[Any] = json.load(answer)["data"]["result"]
    return series
