"""Three pictures of the rows: bytes against accuracy (the paper's figure 4), where time goes, and WebP's quality."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from patchline.wire.errors import UnavailableError, missing_extra

Row = dict[str, Any]

STACK = {
    "resize and encode": "#7fa37c",
    "backbone": "#c8553d",
    "transmission": "#c9a24b",
    "decode and wait": "#9aa7ae",
    "search": "#6d7fae",
    "map": "#3f4d77",
}
"""Part of a latency bar -> its colour, in a part's order."""
_KINDS = {"pictures": "#4a7ba6", "feature maps": "#c8553d", "the paper's": "#7b8790"}
_INK, _FAINT = "#26323a", "#b9c2c7"
_STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.labelcolor": _INK,
    "text.color": _INK,
}
_MS = 1000.0
_WIDEST = 6.0
"""A latency bar is cut off beyond so many medians of all bars: raw feature maps would leave the others no room."""


def draw(rows: Sequence[Row], folder: Path, *, title: str) -> list[Path]:
    """Write what the rows allow as PNG files.

    Raises:
        MisconfiguredError: The bench extra is not installed.
        UnavailableError: The folder cannot be written.
    """
    try:
        import matplotlib as mpl  # noqa: PLC0415 - an extra
        from matplotlib.figure import Figure  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise missing_extra("matplotlib", "bench") from error
    played = [row for row in rows if "total_seconds" in row]
    curve = [row for row in rows if row["codec"].startswith("webp:") and row["reference"] == "original-fast"]
    made: list[Path] = []
    with mpl.rc_context(_STYLE):
        for name, drawing, shown, height in (
            ("accuracy", _accuracy, rows, 4.6),
            ("latency", _latency, played, 0.9 + 0.3 * len(played)),
            ("webp-quality", _quality, sorted(curve, key=_quality_of), 3.6),
        ):
            if len(shown) > 1:
                figure = Figure(figsize=(11, height), layout="constrained")
                drawing(figure, shown)
                figure.suptitle(title, fontsize=10)
                made.append(_saved(figure, folder / f"{name}.png"))
    return made


def front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Of points (cost, gain) those that no other point beats in both, by rising cost."""
    best: list[tuple[float, float]] = []
    for cost, gain in sorted(points, key=lambda point: (point[0], -point[1])):
        if not best or gain > best[-1][1]:
            best.append((cost, gain))
    return best


def parts_of(row: Row) -> dict[str, float]:
    """A bar's parts in seconds: means, which add up to the mean total time; medians would not."""
    mean = {
        figure: row[figure]["mean"] for figure in row if figure.endswith("_seconds") and isinstance(row[figure], dict)
    }
    backbone, edge = mean.get("backbone_seconds", 0.0), mean["edge_seconds"]
    at_edge = row["backbone_at"] == "edge"
    server = mean["server_seconds"] - mean["search_seconds"] - mean["map_seconds"] - (0.0 if at_edge else backbone)
    return {
        "resize and encode": edge - (backbone if at_edge else 0.0),
        "backbone": backbone,
        "transmission": mean["transmission_seconds"],
        "decode and wait": server,
        "search": mean["search_seconds"],
        "map": mean["map_seconds"],
    }


def _accuracy(figure: Any, rows: Sequence[Row]) -> None:
    measures = [measure for measure in ("image_auroc", "pixel_f1") if rows[0].get(measure) is not None]
    for axes, measure in zip(figure.subplots(1, len(measures), squeeze=False)[0], measures, strict=True):
        points = [(_bytes_of(row) / 1000, row[measure], row) for row in rows]
        for kind, at_edge in (("pictures", "service"), ("feature maps", "edge")):
            own = [point for point in points if point[2]["backbone_at"] == at_edge]
            axes.scatter([p[0] for p in own], [p[1] for p in own], s=22, color=_KINDS[kind], label=kind, zorder=3)
        line = front([(kilobytes, gain) for kilobytes, gain, _ in points])
        axes.plot(*zip(*line, strict=True), color=_INK, linewidth=0.9, drawstyle="steps-post", label="best at its size")
        published = {row["paper"]["scenario"]: row["paper"] for row in rows if "paper" in row}
        axes.scatter(
            [each["payload_bytes"] / 1000 for each in published.values()],
            [each[measure] for each in published.values()],
            marker="x", s=24, color=_KINDS["the paper's"], label="the paper's (all of MVTec AD, bare bytes)", zorder=2,
        )  # fmt: skip
        for kilobytes, gain in line:
            name = next(row["scenario"] for at, value, row in points if (at, value) == (kilobytes, gain))
            axes.annotate(name, (kilobytes, gain), (0, 5), textcoords="offset points", fontsize=6.5, ha="center")
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.margins(x=0.1)
        axes.set_xlabel("kB a part, as MQTT carries it where played")
        axes.set_ylabel(measure.replace("_", " ").replace("auroc", "AUROC").replace("f1", "F1"))
        axes.grid(color=_FAINT, linewidth=0.4, alpha=0.6)
    axes.legend(frameon=False, fontsize=7, loc="lower right")


def _latency(figure: Any, rows: Sequence[Row]) -> None:
    axes = figure.subplots()
    names = [row["scenario"] for row in rows]
    left = [0.0] * len(rows)
    for part, colour in STACK.items():
        widths = [max(0.0, parts_of(row)[part]) * _MS for row in rows]
        axes.barh(names, widths, left=left, color=colour, label=part, height=0.72)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    limit = min(max(left), _WIDEST * float(np.median(left)))
    for place, (row, end) in enumerate(zip(rows, left, strict=True)):
        axes.annotate(
            f"{row['total_seconds']['p50'] * _MS:.0f} ms{', cut off' if end > limit else ''}",
            (min(end, limit), place), (4, 0), textcoords="offset points",
            va="center", fontsize=7, annotation_clip=False,
        )  # fmt: skip
    axes.invert_yaxis()
    axes.set_xlabel("ms from capture to verdict (bars: means; numbers: medians)")
    axes.set_xlim(0, limit)
    axes.legend(frameon=False, fontsize=7, loc="upper left", bbox_to_anchor=(1.1, 1))


def _quality(figure: Any, rows: Sequence[Row]) -> None:
    qualities = [_quality_of(row) for row in rows]
    measures = [measure for measure in ("image_auroc", "pixel_f1") if measure in rows[0]["losses"]]
    all_axes = figure.subplots(1, 1 + len(measures))
    all_axes[0].plot(qualities, [row["payload_bytes"]["mean"] / 1000 for row in rows], "o-", color=_INK, markersize=4)
    all_axes[0].set_ylabel("payload kB, mean")
    for axes, measure in zip(all_axes[1:], measures, strict=True):
        found = [row["losses"][measure] for row in rows]
        values = [each["value"] for each in found]
        below = [value - each["interval"][0] for value, each in zip(values, found, strict=True)]
        above = [each["interval"][1] - value for value, each in zip(values, found, strict=True)]
        axes.axhline(0, color=_FAINT, linewidth=0.8)
        axes.errorbar(qualities, values, yerr=[[max(0.0, b) for b in below], [max(0.0, a) for a in above]],
                      fmt="o-", color=_KINDS["pictures"], capsize=3, markersize=4)  # fmt: skip
        axes.set_ylabel(f"{'image AUROC' if measure == 'image_auroc' else 'pixel F1'} lost, 95 % interval")
    for axes in all_axes:
        axes.set_xlabel("WebP quality")


def _bytes_of(row: Row) -> float:
    """As MQTT carries it, where the scenario was played."""
    return float((row["wire_bytes"] if "wire_bytes" in row else row["payload_bytes"])["mean"])


def _quality_of(row: Row) -> int:
    return int(row["codec"].partition(":")[2])


def _saved(figure: Any, path: Path) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=130, metadata={"Software": None})
    except OSError as error:
        raise UnavailableError(f"{path} cannot be written: {error.strerror}") from error
    return path
