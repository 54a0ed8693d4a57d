"""The rows as a person reads them: three tables like the paper's, its figures in brackets beside ours."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table

Row = dict[str, Any]


def tables(rows: Sequence[Row]) -> list[Table]:
    """Accuracy (table 1), steps (table 2) and end to end (table 3)."""
    played = [row for row in rows if "total_seconds" in row]
    return [_accuracy(rows), _steps(played), _end_to_end(played)] if played else [_accuracy(rows)]


def with_paper(ours: str, row: Row, figure: str, *, scale: float = 1.0, form: str = "{:.3f}") -> str:
    """A cell: our figure, and the paper's where it has one."""
    published = row.get("paper", {}).get(figure)
    return ours if published is None else f"{ours} ({form.format(published * scale)})"


def change_of(row: Row) -> str:
    """The change of total time against the original."""
    ours = f"{row['change']:+.0%}" if "change" in row else ""
    return with_paper(ours, row, "change", form="{:+.0%}")


def loss_of(row: Row, measure: str) -> str:
    """A loss with its interval; nothing for a reference, which loses nothing to itself."""
    found = row["losses"].get(measure)
    if found is None or row["reference"] == row["scenario"]:
        return ""
    low, high = found["interval"]
    return f"{found['value']:+.4f} [{low:+.4f} {high:+.4f}]"


def _accuracy(rows: Sequence[Row]) -> Table:
    table = _table("Table 1: what is found (the paper's, over all of MVTec AD, in brackets)")
    for heading in ("image AUROC", "loss", "pixel F1", "loss", "pixel AUROC", "AUPRO", "payload kB", "against"):
        table.add_column(heading, justify="right", overflow="fold")
    for row in rows:
        table.add_row(
            row["scenario"],
            with_paper(_number(row, "image_auroc", 4), row, "image_auroc"),
            loss_of(row, "image_auroc"),
            with_paper(_number(row, "pixel_f1", 3), row, "pixel_f1"),
            loss_of(row, "pixel_f1"),
            _number(row, "pixel_auroc", 3),
            _number(row, "aupro", 3),
            f"{row['payload_bytes']['mean'] / 1000:.2f}",
            row["reference"],
        )
    return table


def _steps(rows: Sequence[Row]) -> Table:
    table = _table("Table 2: steps in ms, medians over the parts of a real line, in brackets the paper's")
    for heading in ("backbone", "at", "encode", "edge", "(b + e) / b", "decode", "search", "map", "server"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            row["scenario"],
            _milliseconds(row, "backbone_seconds"),
            row["backbone_at"],
            _milliseconds(row, "encode_seconds"),
            with_paper(_milliseconds(row, "edge_seconds"), row, "edge_seconds", scale=1000, form="{:.0f}"),
            _number(row, "edge_ratio", 2),
            with_paper(_milliseconds(row, "decode_seconds"), row, "decode_seconds", scale=1000, form="{:.1f}"),
            with_paper(_milliseconds(row, "search_seconds"), row, "detection_seconds", scale=1000, form="{:.0f}"),
            _milliseconds(row, "map_seconds"),
            _milliseconds(row, "server_seconds"),
        )
    return table


def _end_to_end(rows: Sequence[Row]) -> Table:
    table = _table("Table 3: capture to verdict on a real line, p50 / p95, in brackets the paper's")
    for heading in ("payload kB", "MQTT kB, p95", "transmission s", "of it up", "total s", "vs. original", "parts"):
        table.add_column(heading, justify="right")
    for row in rows:
        wire = row["wire_bytes"]
        table.add_row(
            row["scenario"],
            with_paper(f"{row['payload_bytes']['mean'] / 1000:.2f}", row, "payload_bytes", scale=0.001, form="{:.0f}"),
            f"{wire['mean'] / 1000:.2f}, {wire['p95'] / 1000:.2f}",
            with_paper(_spread(row, "transmission_seconds"), row, "transmission_seconds", form="{:.2f}"),
            _spread(row, "uplink_seconds"),
            with_paper(_spread(row, "total_seconds"), row, "total_seconds", form="{:.2f}"),
            change_of(row),
            str(row["parts"]) + (" FAULTY" if row["faults"] else ""),
        )
    return table


def _table(title: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("scenario", no_wrap=True)
    return table


def _number(row: Row, figure: str, digits: int) -> str:
    value = row.get(figure)
    return "" if value is None else f"{value:.{digits}f}"


def _milliseconds(row: Row, figure: str) -> str:
    return f"{row[figure]['p50'] * 1000:.1f}" if figure in row else ""


def _spread(row: Row, figure: str) -> str:
    return f"{row[figure]['p50']:.3f} / {row[figure]['p95']:.3f}" if figure in row else ""
