"""The benchmark's command line, its table and its JSON."""

# mypy: allow-untyped-calls

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from patchline.bench.gpu.measure import DETECTORS, Effort, measure
from patchline.bench.gpu.networks import contestant
from patchline.bench.gpu.pictures import Pictures, drawn, of_category
from patchline.bench.stamp import stamp
from patchline.vision.backbones.torch_engine import DTYPES
from patchline.wire.errors import EXIT_MISCONFIGURED, MisconfiguredError, UnreadableError

_COLUMNS = (
    ("backbone", "backbone", "{}"),
    ("detector", "detector", "{}"),
    ("batch", "batch", "{}"),
    ("pictures/s", "pictures_per_second", "{:.1f}"),
    ("backbone/s", "backbone_pictures_per_second", "{:.1f}"),
    ("share", "share_of_backbone_rate", "{:.2f}"),
    ("latency ms", "latency_ms", "{:.2f}"),
    ("backbone ms", "backbone_ms", "{:.2f}"),
    ("search ms", "embed_and_search_ms", "{:.2f}"),
    ("map ms", "map_ms", "{:.2f}"),
    ("order kept", "order_kept", "{:.4f}"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        size = _size(options.size)
        pictures = _pictures(options, size)
        rows = _rows(options, pictures)
        if options.json is not None:
            options.json.write_text(json.dumps(_document(options, pictures, rows), indent=2) + "\n", encoding="utf-8")
    except (MisconfiguredError, UnreadableError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_MISCONFIGURED
    return 0


def _rows(options: argparse.Namespace, pictures: Pictures) -> list[dict[str, Any]]:
    effort = Effort(tuple(options.batch), options.seconds, options.rounds, options.graphs)
    print(
        f"{len(pictures.normal)} normal pictures, {pictures.name}; {_device_name(options.device)}, {options.precision}"
    )
    print("decoding is not counted: from pixels on the host to scores on the host, maps stay on the device")
    rows: list[dict[str, Any]] = []
    for name in options.backbones:
        chosen = {"device": options.device, "seed": options.seed}
        backbone = contestant(name, precision=options.precision, compiled=options.compile, **chosen)
        exact = contestant(name, precision="float32", compiled=False, **chosen)
        for detector in options.detectors:
            rows += measure(detector, backbone, exact, pictures, effort, seed=options.seed)
    _tell(rows)
    return rows


def _tell(rows: list[dict[str, Any]]) -> None:
    table = [[heading for heading, _, _ in _COLUMNS]]
    table += [[form.format(row[key]) for _, key, form in _COLUMNS] for row in rows]
    widths = [max(len(line[at]) for line in table) for at in range(len(_COLUMNS))]
    for line in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _document(options: argparse.Namespace, pictures: Pictures, rows: list[dict[str, Any]]) -> dict[str, Any]:
    chosen = {name: str(value) if isinstance(value, Path) else value for name, value in vars(options).items()}
    configuration = {**chosen, "pictures": pictures.name, "device_name": _device_name(options.device)}
    if torch.version.cuda:
        configuration["cuda"] = torch.version.cuda
    return {"rows": rows, "configuration": configuration, **asdict(stamp(seed=options.seed))}


def _device_name(device: str) -> str:
    return (
        str(torch.cuda.get_device_name(device)) if device.startswith("cuda") else f"{torch.get_num_threads()} threads"
    )


def _pictures(options: argparse.Namespace, size: tuple[int, int]) -> Pictures:
    counts = {"normal": options.normal, "test": options.test, "seed": options.seed}
    return drawn(size, **counts) if options.data is None else of_category(options.data, size, **counts)


def _size(text: str) -> tuple[int, int]:
    sides = [int(side) for side in text.lower().split("x") if side.isdecimal()]
    if len(sides) not in {1, 2} or min(sides) < 64:  # noqa: PLR2004 - drawn pictures begin there
        raise MisconfiguredError(f"{text!r} is no size", where="--size", remedy="give 224, or 256x640 (height x width)")
    return sides[0], sides[-1]


def _parser() -> argparse.ArgumentParser:
    cuda = torch.cuda.is_available()
    parser = argparse.ArgumentParser(prog="python -m patchline.bench.gpu", description=(__doc__ or "").strip())
    add = parser.add_argument
    add("--device", default="cuda" if cuda else "cpu", help="cuda, cuda:1 or cpu")
    add("--backbones", type=_words, default=["resnet50_v2_trunk", "wide_resnet50_2"], help="names, with commas between")
    add("--detectors", type=_detectors, default=list(DETECTORS), help="patchcore, fapm or both")
    add("--batch", type=_numbers, default=[1, 8, 32, 128] if cuda else [1, 8], help="batch sizes, with commas between")
    add("--precision", choices=list(DTYPES), default="float16" if cuda else "float32")
    add("--size", default="224", help="height x width")
    add("--data", type=Path, help="a category in MVTec's layout; drawn pictures by default")
    add("--normal", type=_count, default=209, help="normal pictures learnt from")
    add("--test", type=_count, default=32, help="pictures inspected")
    add("--seconds", type=float, default=0.3, help="about how long one round of one step takes")
    add("--rounds", type=_count, default=7, help="rounds, of which medians are reported")
    add("--compile", action="store_true", help="let torch compile backbone and search first")
    add("--graphs", action=argparse.BooleanOptionalAction, default=True, help="record the work as a CUDA graph")
    add("--seed", type=int, default=0)
    add("--json", type=Path, help="also write the figures to this file")
    return parser


def _words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def _detectors(text: str) -> list[str]:
    if unknown := [word for word in _words(text) if word not in DETECTORS]:
        raise argparse.ArgumentTypeError(f"no detector here is called {unknown[0]!r}")
    return _words(text)


def _numbers(text: str) -> list[int]:
    return [_count(word) for word in _words(text)]


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not at least 1")
    return int(text)
