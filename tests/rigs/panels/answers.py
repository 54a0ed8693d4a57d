"""Asks Prometheus what each panel would ask it."""

import json
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from typing import Any

from dashboards.grafana_model import Dashboard, Panel, Query

STEP_SECONDS = 5.0
_RATE_INTERVAL = "1m"


@dataclass(frozen=True)
class Series:
    """One series of an answer.

    Attributes:
        legend: As the panel's legend names it.
        points: Time in seconds since the epoch, and value.
    """

    legend: str
    labels: dict[str, str]
    points: list[tuple[float, float]]


@dataclass(frozen=True)
class Answer:
    """What a panel's queries returned, query by query."""

    panel: Panel
    series: list[list[Series]] = field(default_factory=list)

    @property
    def empty(self) -> list[Query]:
        """The queries that returned nothing."""
        return [query for query, found in zip(self.panel.queries, self.series, strict=True) if not found]


def ask(address: str, dashboard: Dashboard, *, began: float) -> list[Answer]:
    """Run every query of a dashboard, as Grafana would with all stations chosen.

    Args:
        address: Of Prometheus.
        dashboard: Whose panels.
        began: Since when, in seconds since the epoch, for panels over time.
    """
    return [
        Answer(panel, [_ask(address, panel, query, began) for query in panel.queries]) for panel in dashboard.panels
    ]


def _ask(address: str, panel: Panel, query: Query, began: float) -> list[Series]:
    expression = query.expression.replace("$station", ".*").replace("$__rate_interval", _RATE_INTERVAL)
    over_time = panel.kind in {"timeseries", "heatmap"}
    parameters: dict[str, Any] = {"query": expression}
    if over_time:
        parameters |= {"start": began, "end": time.time(), "step": STEP_SECONDS}
    place = f"{address}/api/v1/{'query_range' if over_time else 'query'}?{urllib.parse.urlencode(parameters)}"
    with urllib.request.urlopen(place, timeout=30) as answer:
        found = json.load(answer)["data"]["result"]
    return [_series(query, one) for one in found]


def _series(query: Query, found: dict[str, Any]) -> Series:
    legend = query.legend
    for label, value in found["metric"].items():
        legend = legend.replace("{{" + label + "}}", value)
    for label in ("station", "reason", "code", "channel", "job", "certificate", "outcome"):
        legend = legend.replace("{{" + label + "}}", "")
    points = found["values"] if "values" in found else [found["value"]]
    pairs = [(float(moment), float(value)) for moment, value in points]
    return Series(" ".join(legend.split()) or "value", found["metric"], pairs)
