"""Dashboards as values, and as the JSON that Grafana reads: one place for everything that panels have in common."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Json = dict[str, Any]
Kind = Literal["timeseries", "stat", "gauge", "table", "heatmap"]

DATASOURCE: Json = {"type": "prometheus", "uid": "patchline-prometheus"}
SCHEMA_VERSION = 39
"""Of the dashboard JSON; Grafana 10.3 and newer read it as it is, and migrate it themselves."""
GRID_COLUMNS = 24
STATION = "station"

NO_THRESHOLDS: tuple[tuple[float | None, str], ...] = ((None, "green"),)
ZERO_IS_GOOD: tuple[tuple[float | None, str], ...] = ((None, "green"), (1, "red"))
ONE_IS_GOOD: tuple[tuple[float | None, str], ...] = ((None, "red"), (1, "green"))


@dataclass(frozen=True)
class Query:
    """One PromQL expression of a panel.

    Attributes:
        legend: Names its series; `{{label}}` is filled in.
    """

    expression: str
    legend: str


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One panel.

    Attributes:
        unit: Grafana's name of it.
        description: What it means, and from when on to worry; shown at the panel's corner.
        width: Of 24 columns.
        thresholds: From which value on which colour; the first value is None.
        stacked: Whether series stand on one another.
        words: Value -> text and colour, where numbers stand for states.
    """

    title: str
    kind: Kind
    queries: Sequence[Query]
    unit: str
    description: str
    width: int = 8
    thresholds: Sequence[tuple[float | None, str]] = NO_THRESHOLDS
    decimals: int | None = None
    stacked: bool = False
    words: Mapping[int, tuple[str, str]] | None = None


@dataclass(frozen=True)
class Row:
    """Panels side by side under a heading, wrapped at 24 columns.

    Attributes:
        height: Of each panel, in Grafana's units of 30 pixels.
    """

    title: str
    height: int
    panels: Sequence[Panel]


@dataclass(frozen=True)
class Dashboard:
    """One dashboard.

    Attributes:
        by_station: Whether a reader chooses stations at its head.
    """

    uid: str
    title: str
    description: str
    rows: Sequence[Row]
    by_station: bool = False

    @property
    def panels(self) -> list[Panel]:
        """All of them, from top to bottom."""
        return [panel for row in self.rows for panel in row.panels]

    def json(self) -> Json:
        """As Grafana reads it."""
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": ["patchline"],
            "schemaVersion": SCHEMA_VERSION,
            "version": 1,
            "editable": False,
            "graphTooltip": 1,
            "refresh": "5s",
            "time": {"from": "now-30m", "to": "now"},
            "timezone": "browser",
            "links": [_LINKS],
            "templating": {"list": [_STATION_VARIABLE] if self.by_station else []},
            "annotations": {"list": [_ALARMS]},
            "panels": _placed(self.rows),
        }


_LINKS: Json = {
    "title": "patchline",
    "type": "dashboards",
    "tags": ["patchline"],
    "asDropdown": False,
    "keepTime": True,
    "includeVars": False,
    "targetBlank": False,
    "icon": "external link",
    "url": "",
    "tooltip": "",
}
_ALARMS: Json = {
    "name": "Alarms",
    "datasource": DATASOURCE,
    "enable": True,
    "hide": False,
    "iconColor": "red",
    "expr": 'ALERTS{alertstate="firing", severity="critical"}',
    "titleFormat": "{{alertname}}",
    "textFormat": "{{station}}",
    "step": "15s",
}
_STATION_VARIABLE: Json = {
    "name": STATION,
    "label": "Station",
    "type": "query",
    "datasource": DATASOURCE,
    "definition": f"label_values(vad_edge_connected, {STATION})",
    "query": {"query": f"label_values(vad_edge_connected, {STATION})", "refId": "stations"},
    "refresh": 2,
    "sort": 1,
    "multi": True,
    "includeAll": True,
    "allValue": ".*",
    "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
    "options": [],
    "hide": 0,
    "skipUrlSync": False,
    "regex": "",
}


def _placed(rows: Sequence[Row]) -> list[Json]:
    placed: list[Json] = []
    top = 0
    for row in rows:
        place = {"x": 0, "y": top, "w": GRID_COLUMNS, "h": 1}
        placed.append({"id": len(placed) + 1, "type": "row", "title": row.title, "collapsed": False, "gridPos": place,
                       "panels": []})  # fmt: skip
        top += 1
        left = 0
        for panel in row.panels:
            if left + panel.width > GRID_COLUMNS:
                left, top = 0, top + row.height
            place = {"x": left, "y": top, "w": panel.width, "h": row.height}
            placed.append({"id": len(placed) + 1, "gridPos": place, **_panel(panel)})
            left += panel.width
        top += row.height
    return placed


def _panel(panel: Panel) -> Json:
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": DATASOURCE,
        "targets": [_target(panel, place, query) for place, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _OPTIONS[panel.kind],
        **({"transformations": _TABLE_COLUMNS} if panel.kind == "table" else {}),
    }


def _target(panel: Panel, place: int, query: Query) -> Json:
    target: Json = {
        "refId": chr(ord("A") + place),
        "datasource": DATASOURCE,
        "editorMode": "code",
        "expr": query.expression,
        "legendFormat": query.legend,
        "range": panel.kind in {"timeseries", "heatmap"},
        "instant": panel.kind not in {"timeseries", "heatmap"},
    }
    if panel.kind in {"table", "heatmap"}:
        target["format"] = panel.kind
    return target


def _defaults(panel: Panel) -> Json:
    steps = [{"value": value, "color": colour} for value, colour in panel.thresholds]
    defaults: Json = {
        "unit": panel.unit,
        "color": {"mode": "palette-classic" if panel.kind == "timeseries" else "thresholds"},
        "thresholds": {"mode": "absolute", "steps": steps},
        "mappings": [_mapping(panel.words)] if panel.words else [],
        "noValue": "no data",
        "custom": _CUSTOM.get(panel.kind, {}),
    }
    if panel.decimals is not None:
        defaults["decimals"] = panel.decimals
    if panel.kind in {"timeseries", "gauge"}:
        defaults["min"] = 0
    if panel.kind == "timeseries":
        bands = {"thresholdsStyle": {"mode": "dashed" if len(panel.thresholds) > 1 else "off"}}
        stack = {"stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"}}
        defaults["custom"] = {**_CUSTOM["timeseries"], **bands, **stack}
    return defaults


def _mapping(words: Mapping[int, tuple[str, str]]) -> Json:
    options = {str(value): {"text": text, "color": colour} for value, (text, colour) in words.items()}
    return {"type": "value", "options": options}


_REDUCED: Json = {"calcs": ["lastNotNull"], "fields": "", "values": False}
_CUSTOM: dict[str, Json] = {
    "timeseries": {
        "drawStyle": "line", "lineInterpolation": "linear", "lineWidth": 2, "fillOpacity": 10, "showPoints": "never",
        "spanNulls": False,
    },
    "table": {"align": "auto", "cellOptions": {"type": "auto"}},
}  # fmt: skip
_OPTIONS: dict[Kind, Json] = {
    "timeseries": {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": ["lastNotNull"]},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "stat": {
        "reduceOptions": _REDUCED, "colorMode": "background", "graphMode": "none", "textMode": "auto",
        "justifyMode": "auto", "orientation": "auto",
    },
    "gauge": {"reduceOptions": _REDUCED, "showThresholdLabels": False, "showThresholdMarkers": True,
              "orientation": "auto"},
    "table": {"showHeader": True, "cellHeight": "sm"},
    "heatmap": {
        "calculate": False, "cellGap": 1, "yAxis": {"axisPlacement": "left", "unit": "percentunit"},
        "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64}, "legend": {"show": True},
        "tooltip": {"mode": "single", "yHistogram": True},
    },
}  # fmt: skip
_TABLE_COLUMNS: list[Json] = [
    {
        "id": "organize",
        "options": {
            "excludeByName": {
                "exported_station": True,
                "Time": True,
                "__name__": True,
                "job": True,
                "instance": True,
                "Value": True,
            },
            "indexByName": {},
            "renameByName": {},
        },
    }
]
