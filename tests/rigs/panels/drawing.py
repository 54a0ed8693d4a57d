"""Draws a dashboard's panels from what their queries returned, where Grafana would put them, with its units."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dashboards.grafana_model import Dashboard
from patchline.wire.errors import missing_extra
from tests.rigs.panels.answers import Answer

try:
    import matplotlib as mpl
    from matplotlib import pyplot as plt
    from matplotlib.ticker import FuncFormatter
except ImportError as error:
    raise missing_extra("matplotlib", "bench") from error

LABEL = "drawn with matplotlib from the same queries; not a Grafana screenshot"
_COLOURS = {"green": "#73BF69", "orange": "#FF9830", "red": "#F2495C", "blue": "#5794F2", None: "#73BF69"}
_ROW_INCHES, _COLUMN_INCHES = 0.42, 0.62
_LEGENDS = 6


def draw(dashboard: Dashboard, answers: Sequence[Answer], path: Path) -> None:
    """Write the picture of a dashboard as WebP."""
    mpl.use("Agg")
    placed = [panel for panel in dashboard.json()["panels"] if panel["type"] != "row"]
    rows = [panel for panel in dashboard.json()["panels"] if panel["type"] == "row"]
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in placed) + 1
    size = (24 * _COLUMN_INCHES, height * _ROW_INCHES)
    figure = plt.figure(figsize=size, facecolor="#f4f5f5")
    figure.text(0.008, 1 - 0.45 / height, f"{dashboard.title}: {LABEL}", fontsize=10, va="center", weight="bold")
    for row in rows:
        figure.text(0.008, 1 - (row["gridPos"]["y"] + 1.55) / height, row["title"], fontsize=10, va="center")
    for panel, answer in zip(placed, answers, strict=True):
        place = panel["gridPos"]
        left, top = place["x"] / 24, 1 - (place["y"] + 1) / height
        box = (left + 0.004, top - place["h"] / height + 0.006, place["w"] / 24 - 0.008, place["h"] / height - 0.012)
        figure.add_artist(
            plt.Rectangle(box[:2], box[2], box[3], facecolor="white", edgecolor="#d0d0d0", linewidth=0.6, zorder=-1)
        )
        title_height = 0.62 / height
        figure.text(box[0] + 0.004, box[1] + box[3] - title_height / 2, answer.panel.title, fontsize=8, va="center")
        inner = (box[0], box[1], box[2], box[3] - title_height)
        _DRAWN[answer.panel.kind](figure, inner, answer)
    figure.savefig(path, dpi=90, format="webp", pil_kwargs={"quality": 82, "method": 6})
    plt.close(figure)


def shown(value: float, unit: str, decimals: int | None = None) -> str:
    """A value as Grafana writes it in a unit."""
    if unit == "percentunit":
        return f"{100 * value:.{1 if decimals is None else decimals}f} %"
    if unit == "s":
        steps = ((86400 * 2, 86400, "days"), (7200, 3600, "h"), (120, 60, "min"), (1, 1, "s"))
        for least, size, name in steps:
            if abs(value) >= least:
                return f"{value / size:.3g} {name}"
        return f"{1000 * value:.3g} ms" if value else "0 s"
    if unit in {"bytes", "Bps"}:
        power = min(3, int(math.log(abs(value), 1000))) if abs(value) >= 1 else 0
        return f"{value / 1000**power:.3g} {('B', 'kB', 'MB', 'GB')[power]}{'/s' if unit == 'Bps' else ''}"
    return f"{value:.{decimals}f}" if decimals is not None else f"{value:.4g}"


def _last(answer: Answer) -> list[tuple[str, float]]:
    return [(one.legend, one.points[-1][1]) for found in answer.series for one in found]


def _colour(answer: Answer, value: float) -> str:
    chosen: str | None = None
    for step, colour in answer.panel.thresholds:
        if step is None or value >= step:
            chosen = colour
    return _COLOURS[chosen]


def _numbers(figure: Any, box: tuple[float, float, float, float], answer: Answer) -> None:
    values = _last(answer)
    words = answer.panel.words or {}
    for place, (legend, value) in enumerate(values or [("", float("nan"))]):
        width = box[2] / max(1, len(values))
        left = box[0] + place * width
        text = (
            words[int(value)][0] if words and value in words else shown(value, answer.panel.unit, answer.panel.decimals)
        )
        text = "no data" if math.isnan(value) else text
        colour = "#999999" if math.isnan(value) else _colour(answer, value)
        if words and value in words:
            colour = _COLOURS[words[int(value)][1]]
        edge = {"edgecolor": "white", "linewidth": 1}
        figure.add_artist(
            plt.Rectangle((left + 0.002, box[1] + 0.002), width - 0.004, box[3], facecolor=colour, **edge)
        )
        middle = box[1] + box[3] / 2
        figure.text(left + width / 2, middle, text, fontsize=13, weight="bold", ha="center", va="center", color="white")
        if len(values) > 1:
            figure.text(
                left + width / 2,
                box[1] + 0.004,
                legend.split("/")[-1],
                fontsize=6,
                ha="center",
                va="bottom",
                color="white",
            )


def _lines(figure: Any, box: tuple[float, float, float, float], answer: Answer) -> None:
    axes = _axes(figure, box)
    series = [one for found in answer.series for one in found]
    began = min((one.points[0][0] for one in series), default=0.0)
    moments = sorted({moment for one in series for moment, _ in one.points})
    stacked: list[list[float]] = []
    for one in series:
        values = dict(one.points)
        if answer.panel.stacked:
            stacked.append(
                [values.get(moment, 0.0) if math.isfinite(values.get(moment, 0.0)) else 0.0 for moment in moments]
            )
        else:
            axes.plot([moment - began for moment, _ in one.points], [value for _, value in one.points], linewidth=1.4)
    if stacked:
        axes.stackplot([moment - began for moment in moments], stacked, alpha=0.7)
    for step, colour in answer.panel.thresholds[1:]:
        if step is not None and series and step <= 2 * max(axes.get_ylim()[1], 1e-9):
            axes.axhline(step, color=_COLOURS[colour], linestyle="--", linewidth=0.8)
    axes.set_ylim(0, 1.3 * axes.get_ylim()[1])  # room for the legend
    if not any(value for one in series for _, value in one.points):
        axes.set_ylim(top=1)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: shown(value, answer.panel.unit)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f} s"))
    legends = [one.legend for one in series]
    ending = [f"+ {len(legends) - _LEGENDS} more"] if len(legends) > _LEGENDS else []
    axes.legend(legends[:_LEGENDS] + ending, fontsize=5.5, loc="upper left", frameon=False, ncols=2)


def _heat(figure: Any, box: tuple[float, float, float, float], answer: Answer) -> None:
    axes = _axes(figure, box)
    found = sorted(answer.series[0], key=lambda one: float(one.labels["le"]))
    moments = [moment for moment, _ in found[0].points] if found else []
    cumulative = [[max(0.0, dict(one.points).get(moment, 0.0)) for moment in moments] for one in found]
    counts = [
        [upper - lower for upper, lower in zip(row, below, strict=True)]
        for below, row in zip([[0.0] * len(moments), *cumulative[:-1]], cumulative, strict=True)
    ]
    edges = [0.0, *(float(one.labels["le"]) for one in found[:-1])]
    axes.imshow(counts[:-1], origin="lower", aspect="auto", cmap="Oranges", interpolation="nearest")
    axes.set_yticks(range(0, len(edges) - 1, 3), [f"{100 * edge:.0f} %" for edge in edges[1::3]])
    threshold = next((place for place, edge in enumerate(edges) if edge >= 1), 0) - 0.5
    axes.axhline(threshold, color=_COLOURS["red"], linestyle="--", linewidth=1)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{5 * value:.0f} s"))


def _table(figure: Any, box: tuple[float, float, float, float], answer: Answer) -> None:
    hidden = {"__name__", "job", "instance", "exported_station"}
    rows = [{name: value for name, value in one.labels.items() if name not in hidden} for one in answer.series[0]]
    names = sorted({name for row in rows for name in row})
    lines = ["   ".join(f"{name:<18}" for name in names)]
    lines += ["   ".join(f"{row.get(name, ''):<18}" for name in names) for row in rows]
    text = "\n".join(lines)
    figure.text(box[0] + 0.004, box[1] + box[3], text, fontsize=6.5, family="monospace", va="top", linespacing=1.6)


def _axes(figure: Any, box: tuple[float, float, float, float]) -> Any:
    axes = figure.add_axes((box[0] + 0.042, box[1] + 0.018, box[2] - 0.05, box[3] - 0.022))
    axes.tick_params(labelsize=6)
    axes.grid(color="#eeeeee", linewidth=0.6)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return axes


_DRAWN = {"timeseries": _lines, "stat": _numbers, "gauge": _numbers, "table": _table, "heatmap": _heat}
