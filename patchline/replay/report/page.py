"""`report.html`: one page that holds everything it shows and asks nothing of any network."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from patchline.replay.accuracy import MapOf, relative_score
from patchline.replay.reconciliation import Fate
from patchline.replay.report import plots, wording
from patchline.replay.report.cards import card_groups
from patchline.replay.report.overlays import data_uri, legend_strip
from patchline.replay.summary import Journals, Summary, latencies
from patchline.wire.errors import missing_extra

_TEMPLATE = Path(__file__).with_name("page.html")


def render_page(
    summary: Summary, fates: Sequence[Fate], journals: Journals, map_of: MapOf, *, title: str, note: str = ""
) -> str:
    """The page of a run.

    Args:
        summary: Its figures.
        fates: What became of each part.
        journals: What the stations wrote down.
        map_of: Finds a part's published anomaly map.
        title: What ran, in a few words.
        note: What a reader must know about the parts.

    Raises:
        MisconfiguredError: The `bench` extra, which draws the charts, is not installed.
    """
    try:
        import jinja2  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise missing_extra("jinja2", "bench") from error
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    return template.render(
        title=title,
        note=note,
        summary=summary,
        headline=wording.headline(summary),
        findings=wording.findings(summary),
        tiles=_tiles(summary),
        charts=_charts(summary, fates, journals),
        groups=card_groups(fates, map_of),
        legend=data_uri(legend_strip()),
        configuration=_flattened(summary.configuration),
        machine=_flattened(summary.machine),
    )


def _tiles(summary: Summary) -> list[tuple[str, str, str]]:
    """Label, figure and unit of each number worth a tile; those the run cannot give are left out."""
    rate, payload, latency = summary.parts_per_second, summary.payload_bytes, summary.latency_seconds
    tiles = [
        ("image AUROC", _figure(summary.image_auroc, 4), ""),
        ("pixel AUROC", _figure(summary.pixel_auroc, 4), ""),
        ("pixel F1", _figure(summary.pixel_f1, 3), ""),
        ("AUPRO (to 0.3)", _figure(summary.aupro, 3), ""),
        ("rate", _figure(rate, 2), "parts/s"),
        ("payload, mean", _figure(None if payload is None else payload.mean / 1000, 1), "kB"),
        ("capture to verdict, median", _figure(None if latency is None else latency.p50 * 1000, 0), "ms"),
        ("capture to verdict, p95", _figure(None if latency is None else latency.p95 * 1000, 0), "ms"),
    ]
    return [tile for tile in tiles if tile[1]]


def _figure(value: float | None, places: int) -> str:
    return "" if value is None else f"{value:.{places}f}"


def _charts(summary: Summary, fates: Sequence[Fate], journals: Journals) -> dict[str, str]:
    charts: dict[str, str] = {}
    scores = _scores(fates)
    if scores is not None:
        charts["scores"] = scores
    lines = [line for station in sorted(journals) for line in journals[station]]
    payloads = [line.payload_bytes / 1000 for line in lines if line.payload_bytes]
    if payloads and summary.payload_bytes is not None:
        marks = {"mean": summary.payload_bytes.mean / 1000}
        charts["payload"] = plots.distribution_chart(payloads, unit="payload, kB a part", marks=marks)
    waits = [seconds * 1000 for seconds in latencies(lines)]
    if waits and summary.latency_seconds is not None:
        marks = {"p50": summary.latency_seconds.p50 * 1000, "p95": summary.latency_seconds.p95 * 1000}
        charts["latency"] = plots.distribution_chart(waits, unit="capture to verdict, ms", marks=marks)
    if summary.stage_seconds:
        charts["stages"] = plots.stage_bars(summary.stage_seconds)
    return charts


def _scores(fates: Sequence[Fate]) -> str | None:
    scored = [fate for fate in fates if fate.verdict is not None and fate.verdict.score is not None]
    if not scored:
        return None
    thresholds = {fate.verdict.threshold for fate in scored if fate.verdict is not None}
    shared = len(thresholds) == 1
    values: dict[bool, list[float]] = {True: [], False: []}
    for fate in scored:
        assert fate.verdict is not None
        value = fate.verdict.score if shared else relative_score(fate.verdict)
        values[fate.entry.defective].append(value or 0.0)
    threshold = next(iter(thresholds)) if shared else 1.0
    unit = "anomaly score, raw distance" if shared else "anomaly score, multiples of the station's threshold"
    return plots.score_histogram(values[False], values[True], threshold, unit=unit)


def _flattened(table: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for name, value in table.items():
        label = f"{prefix}{name.replace('_', ' ')}"
        if isinstance(value, Mapping):
            rows += _flattened(value, f"{label} · ")
        elif isinstance(value, (list, tuple)):
            rows.append((label, ", ".join(str(item) for item in value)))
        elif value is not None:
            rows.append((label, f"{value:.6g}" if isinstance(value, float) else str(value)))
    return rows
