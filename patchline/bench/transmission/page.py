"""The rows as Markdown, put into a page between the marks of their category, so that its figures are never typed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from patchline.bench.transmission.tables import change_of, loss_of, with_paper
from patchline.wire.errors import MisconfiguredError, UnavailableError

Row = dict[str, Any]

ACCURACY = ("scenario", "codec", "image AUROC", "lost", "pixel F1", "lost", "against")
TIMES = (
    "scenario", "payload kB", "MQTT kB (p95)", "edge ms", "(b + e) / b", "transmission s", "of it up", "server ms",
    "search ms", "total s, p50 / p95", "vs. original",
)  # fmt: skip


def put(page: Path, category: str, rows: Sequence[Row], stamped: str) -> None:
    """Replace what stands between `<!-- transmission CATEGORY -->` and `<!-- end CATEGORY -->`.

    Raises:
        MisconfiguredError: The page is missing or has no such marks.
        UnavailableError: It cannot be written.
    """
    first, last = f"<!-- transmission {category} -->", f"<!-- end {category} -->"
    try:
        text = page.read_text(encoding="utf-8")
    except OSError as error:
        raise MisconfiguredError(f"the page cannot be read: {error.strerror}", where=str(page)) from error
    before, mark, rest = text.partition(first)
    _, end, after = rest.partition(last)
    if not mark or not end:
        raise MisconfiguredError(f"the page has no marks {first} and {last}", where=str(page), remedy="write both")
    try:
        page.write_text(f"{before}{first}\n{markdown(rows)}\n{stamped}\n\n{last}{after}", encoding="utf-8")
    except OSError as error:
        raise UnavailableError(f"{page} cannot be written: {error.strerror}") from error


def markdown(rows: Sequence[Row]) -> str:
    """Two tables: what is found, and what it costs where it was played; the paper's figures in brackets."""
    played = [row for row in rows if "total_seconds" in row]
    found = _table(ACCURACY, [_found(row) for row in rows])
    return found + (_table(TIMES, [_costs(row) for row in played]) if played else "")


def _found(row: Row) -> list[str]:
    return [
        row["scenario"],
        f"`{row['codec']}`",
        with_paper(f"{row['image_auroc']:.4f}", row, "image_auroc"),
        loss_of(row, "image_auroc"),
        with_paper(f"{row['pixel_f1']:.3f}", row, "pixel_f1") if row.get("pixel_f1") is not None else "",
        loss_of(row, "pixel_f1"),
        "" if row["reference"] == row["scenario"] else row["reference"],
    ]


def _costs(row: Row) -> list[str]:
    wire, total = row["wire_bytes"], row["total_seconds"]
    edge = f"{row['edge_seconds']['p50'] * 1000:.0f}"
    return [
        row["scenario"],
        with_paper(f"{row['payload_bytes']['mean'] / 1000:.2f}", row, "payload_bytes", scale=0.001, form="{:.0f}"),
        f"{wire['mean'] / 1000:.2f} ({wire['p95'] / 1000:.2f})",
        with_paper(edge, row, "edge_seconds", scale=1000, form="{:.0f}"),
        f"{row['edge_ratio']:.2f}" if "edge_ratio" in row else "",
        with_paper(f"{row['transmission_seconds']['p50']:.3f}", row, "transmission_seconds", form="{:.2f}"),
        f"{row['uplink_seconds']['p50']:.3f}" if "uplink_seconds" in row else "",
        f"{row['server_seconds']['p50'] * 1000:.0f}",
        with_paper(f"{row['search_seconds']['p50'] * 1000:.1f}", row, "detection_seconds", scale=1000, form="{:.0f}"),
        with_paper(f"{total['p50']:.3f} / {total['p95']:.3f}", row, "total_seconds", form="{:.2f}"),
        change_of(row),
    ]


def _table(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    ruled = [headings, ["---"] * len(headings), *lines]
    return "\n" + "".join(f"| {' | '.join(cells)} |\n" for cells in ruled)
