"""The benchmark's table, and the configuration behind each of its rows."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

NOTES = (
    "commissioning: reading and embedding the normal pictures, and the fit; a threshold's k-fold scores come on top",
    "ms: medians of single pictures from resized pixels to the map; search includes pooling and alignment",
    "s+m / backbone: search and map over the backbone's time, of single pictures and, in brackets, at the best batch",
    "memory: the most that the row's process held, interpreter and backbone included",
    "paper: image / pixel AUROC and pictures/s, means over MVTec AD with WideResNet-50 on a Titan RTX",
)


def _figure(key: str, form: str, scale: float = 1.0) -> Callable[[Mapping[str, Any]], str]:
    def text(row: Mapping[str, Any]) -> str:
        value = row.get(key)
        return "" if value is None else form.format(value * scale)

    return text


def _shares(row: Mapping[str, Any]) -> str:
    one, best = row.get("search_and_map_share"), row.get("search_and_map_share_best_batch")
    return ("" if one is None else f"{one:.2f}") + ("" if best is None else f" ({best:.2f})")


def _paper(row: Mapping[str, Any]) -> str:
    told = row["paper"]
    return f"{told['image_auroc']:.3f} / {told['pixel_auroc']:.3f}" if told else ""


_COLUMNS: tuple[tuple[str, Callable[[Mapping[str, Any]], str]], ...] = (
    ("image AUROC", _figure("image_auroc", "{:.4f}")),
    ("pixel AUROC", _figure("pixel_auroc", "{:.4f}")),
    ("pixel F1", _figure("pixel_f1", "{:.3f}")),
    ("AUPRO", _figure("aupro", "{:.3f}")),
    ("commis. s", _figure("commission_seconds", "{:.1f}")),
    ("artifact MB", _figure("artifact_bytes", "{:.2f}", 1e-6)),
    ("memory MB", _figure("peak_memory_bytes", "{:.0f}", 1e-6)),
    ("backbone ms", _figure("backbone_seconds", "{:.2f}", 1e3)),
    ("search ms", _figure("search_seconds", "{:.2f}", 1e3)),
    ("map ms", _figure("map_seconds", "{:.2f}", 1e3)),
    ("total ms", _figure("total_seconds", "{:.2f}", 1e3)),
    ("s+m / backbone", _shares),
    ("img/s", _figure("images_per_second", "{:.1f}")),
    ("best img/s", lambda row: f"{row['images_per_second_best_batch']:.1f} @ {row['best_batch']}"),
    ("x brute", _figure("times_brute_force", "{:.2f}")),
    ("paper", _paper),
    ("its img/s", lambda row: f"{row['paper']['images_per_second']:g}" if row["paper"] else ""),
)


def show(rows: Sequence[Mapping[str, Any]], console: Console) -> None:
    """One backbone's rows as a table, and one line of configuration each."""
    first = rows[0]
    table = Table(title=f"{first['category']}, {first['backbone']} {' + '.join(first['taps'])}", title_justify="left")
    table.add_column("detector", no_wrap=True)
    for heading, _ in _COLUMNS:
        table.add_column(heading, justify="right")
    for row in rows:
        if "refused" not in row:
            table.add_row(row["contender"], *(text(row) for _, text in _COLUMNS))
    console.print(table)
    for row in rows:
        console.print(configuration(row), highlight=False, soft_wrap=True, style="dim")


def configuration(row: Mapping[str, Any]) -> str:
    """What a row's figures are of, on one line."""
    if "refused" in row:
        return f"{row['contender']}: not measured: {row['refused']}"
    size = "x".join(map(str, row["input_size"]))
    start = f"{row['contender']}: {row['backbone']}, {size}"
    if "device" in row:
        banks = ", ".join("x".join(map(str, bank)) for bank in row["banks"])
        return f"{start}, {row['device']}, {row['precision']}; banks {banks}"
    shown = {name: value for name, value in row["parameters"].items() if name != "search"}
    chosen = ", ".join(f"{name}={_short(value)}" for name, value in shown.items())
    return f"{start}, threads={row['threads']}, search={row['search']}, {chosen}"


def _short(value: Any) -> str:
    return "x".join(map(str, value)) if isinstance(value, list) else str(value)
