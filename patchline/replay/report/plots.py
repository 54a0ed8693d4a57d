"""The report's charts, as SVG that stands in the page itself."""

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from patchline.replay.stages import StageTimes
from patchline.wire.errors import missing_extra

GOOD_COLOUR, DEFECT_COLOUR, INK, FAINT_INK = "#4a7ba6", "#c8553d", "#26323a", "#7b8790"
PLACE_COLOURS = {"edge": "#7fa37c", "link": "#c9a24b", "service": "#6d7fae"}

_STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": FAINT_INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": FAINT_INK,
    "ytick.color": FAINT_INK,
    "axes.grid": False,
    "svg.hashsalt": "patchline",
}


def _chart(draw: Callable[[Any], None], *, width: float = 5.2, height: float = 2.5) -> str:
    try:
        import matplotlib as mpl  # noqa: PLC0415 - an extra
        from matplotlib.figure import Figure  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise missing_extra("matplotlib", "bench") from error
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure.add_subplot())
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def score_histogram(good: Sequence[float], defect: Sequence[float], threshold: float | None, *, unit: str) -> str:
    """Scores of the good and the defective parts, the threshold drawn between them.

    Args:
        good: Scores of the parts without a defect.
        defect: Scores of the defective ones.
        threshold: The score above which a part is rejected, in the same unit.
        unit: What the horizontal axis counts.
    """

    def draw(axes: Any) -> None:
        both = [*good, *defect, *([] if threshold is None else [threshold])]
        edges = np.linspace(min(both), max(both) or 1.0, 41) if both else np.linspace(0, 1, 41)
        axes.hist(good, bins=edges, color=GOOD_COLOUR, alpha=0.8, label=f"good ({len(good)})")
        axes.hist(defect, bins=edges, color=DEFECT_COLOUR, alpha=0.7, label=f"defective ({len(defect)})")
        if threshold is not None:
            axes.axvline(threshold, color=INK, linewidth=1.2, linestyle=(0, (4, 2)))
            axes.annotate(
                "threshold",
                (threshold, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(4, -2),
                textcoords="offset points",
                va="top",
                fontsize=8,
            )
        axes.set_xlabel(unit)
        axes.set_ylabel("parts")
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.legend(frameon=False, fontsize=8)

    return _chart(draw, width=10.6, height=2.7)


def distribution_chart(values: Sequence[float], *, unit: str, marks: Mapping[str, float]) -> str:
    """How a quantity spreads over the parts, some of its values marked by name."""

    def draw(axes: Any) -> None:
        axes.hist(values, bins=min(40, max(8, len(values) // 3)), color=GOOD_COLOUR, alpha=0.85)
        for place, (name, value) in enumerate(marks.items()):
            axes.axvline(value, color=INK, linewidth=0.9, linestyle=(0, (2, 2)))
            axes.annotate(
                name,
                (value, 1.0 - 0.11 * place),
                xycoords=("data", "axes fraction"),
                xytext=(3, -1),
                textcoords="offset points",
                va="top",
                fontsize=8,
            )
        axes.set_xlim(left=0)
        axes.set_xlabel(unit)
        axes.set_ylabel("parts")
        axes.yaxis.get_major_locator().set_params(integer=True)

    return _chart(draw)


def stage_bars(stages: Mapping[str, StageTimes]) -> str:
    """Median time of each stage as a bar, its 95th percentile as a tick, coloured by where it was spent."""

    def draw(axes: Any) -> None:
        names = list(stages)
        for place, name in enumerate(names):
            seconds = stages[name].seconds
            colour = PLACE_COLOURS.get(stages[name].place, FAINT_INK)
            axes.barh(place, seconds.p50 * 1000, color=colour, height=0.62)
            axes.plot([seconds.p95 * 1000] * 2, [place - 0.31, place + 0.31], color=INK, linewidth=1.2)
            axes.annotate(
                f"{seconds.p50 * 1000:.1f}",
                (seconds.p50 * 1000, place),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
                bbox={"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 0.5},
            )
        axes.set_yticks(range(len(names)), names, color=INK)
        axes.invert_yaxis()
        axes.set_xlabel("milliseconds (bar and figure: median; tick: 95th percentile)")
        axes.set_xlim(0, 1.12 * max(times.seconds.p95 for times in stages.values()) * 1000 or 1)
        for name, colour in PLACE_COLOURS.items():
            axes.barh(0, 0, color=colour, label=name)
        axes.legend(frameon=False, fontsize=8, loc="lower right")

    return _chart(draw, width=10.6, height=0.8 + 0.26 * len(stages))
