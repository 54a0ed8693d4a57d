"""Accuracy against speed, as in figure 1 of the FAPM paper."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from patchline.wire.errors import UnavailableError, missing_extra

MEASURES = {"image_auroc": "image AUROC", "pixel_f1": "pixel F1"}
_COLOURS = {"patchcore": "#4a7ba6", "fapm": "#c8553d", "padim": "#7fa37c"}
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def draw(rows: Sequence[Mapping[str, Any]], folder: Path) -> list[Path]:
    """A picture for each measure that the rows have: pictures a second across, accuracy up.

    The colour is the detector, the form of the marker the backbone; the paper's own points are hollow.

    Raises:
        MisconfiguredError: matplotlib is not installed.
        UnavailableError: The folder cannot be written.
    """
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 - an extra
        from matplotlib.ticker import LogLocator, ScalarFormatter  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise missing_extra("matplotlib", "bench") from error
    files = []
    for measure, heading in MEASURES.items():
        shown = [row for row in rows if row.get(measure) is not None and "images_per_second" in row]
        if not shown:
            continue
        figure = Figure(figsize=(8, 5), layout="constrained")
        axes: Any = figure.add_subplot()
        _scatter(axes, shown, measure)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.xaxis.set_minor_locator(LogLocator(subs=(2.0, 5.0)))
        axes.xaxis.set_minor_formatter(ScalarFormatter())
        axes.set_xlabel("pictures a second, one by one, from pixels to map (log scale)")
        axes.set_ylabel(heading)
        axes.set_title(f"{shown[0]['category']}: {heading} against speed", loc="left")
        axes.grid(visible=True, which="both", alpha=0.2)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)
        path = folder / f"detectors-{shown[0]['category']}-{measure}.png"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            figure.savefig(path, dpi=130)
        except OSError as error:
            raise UnavailableError(f"{path} cannot be written: {error.strerror}") from error
        files.append(path)
    return files


def _scatter(axes: Any, rows: Sequence[Mapping[str, Any]], measure: str) -> None:
    backbones = list(dict.fromkeys(row["backbone"] for row in rows))
    for row in rows:
        marker = _MARKERS[backbones.index(row["backbone"]) % len(_MARKERS)]
        across, up = row["images_per_second"], row[measure]
        axes.scatter(across, up, color=_COLOURS.get(row["detector"], "grey"), marker=marker, s=48, zorder=3)
        name = row["contender"].removeprefix(f"{row['detector']}-")
        axes.annotate(name, (across, up), xytext=(5, 3), textcoords="offset points", fontsize=7)
    for index, backbone in enumerate(backbones):
        axes.scatter([], [], color="#56646d", marker=_MARKERS[index % len(_MARKERS)], label=backbone)
    for detector in dict.fromkeys(row["detector"] for row in rows):
        axes.scatter([], [], color=_COLOURS.get(detector, "grey"), marker="_", s=120, linewidths=4, label=detector)
    papers = {
        (row["paper"]["images_per_second"], row["paper"][measure], row["detector"])
        for row in rows
        if measure in row["paper"]
    }
    for across, up, detector in papers:
        axes.scatter(across, up, facecolors="none", edgecolors=_COLOURS.get(detector, "grey"), s=48, zorder=2)
    if papers:
        axes.scatter([], [], facecolors="none", edgecolors="#56646d", label="paper (MVTec AD mean,\nWRN-50, Titan RTX)")
