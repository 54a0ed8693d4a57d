"""PatchCore on ResNet-18 here and in anomalib 2.7, picture by picture in the same run.

anomalib lives in an environment of its own, because it brings torch, lightning and more: `python3 -m venv DIR`, then
`DIR/bin/pip install torch==2.13.0 anomalib==2.7.*` (a CPU build of torch; this program installs nothing). Both sides
get the same normalised pictures, the same threads, the same weights and the same memory bank, ours: choosing 16,385
of 163,856 patches takes anomalib's coreset two hours at 2.3 picks a second. Reading, resizing and normalising pictures
is not counted on either side. Both search exactly, so their scores must agree; if they do not, the times mean nothing.

Totals are medians over all runs; run it on a machine that does nothing else.
"""

import dataclasses
import json
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any

import typer

from patchline.cli.threads import bound_threads

if TYPE_CHECKING:
    from tests.rigs.anomalib_comparison.duel import Side

_PHASES = ("total", "backbone", "embed", "search", "map")


def main(
    data: Annotated[Path, typer.Option("--data", help="A category in MVTec's layout, bottle for instance.")],
    anomalib_python: Annotated[Path, typer.Option("--anomalib-python", help="Python of anomalib's environment.")],
    weights: Annotated[Path, typer.Option("--weights", help="resnet18_trunk.safetensors, for anomalib.")],
    *,
    ratio: Annotated[float, typer.Option("--ratio", min=0.0001, max=1, help="Share of the patches in the bank.")] = 0.1,
    threads: Annotated[int, typer.Option("--threads", min=1, help="CPU threads of each side.")] = 2,
    seed: Annotated[int, typer.Option("--seed", help="Of the coreset.")] = 0,
    runs: Annotated[int, typer.Option("--runs", min=1, help="How often every picture is scored.")] = 1,
    json_file: Annotated[Path | None, typer.Option("--json", help="Where to write the same figures.")] = None,
) -> None:
    """Time and score every test picture on both sides, in turns."""
    bound_threads(threads)
    from patchline.bench.stamp import stamp  # noqa: PLC0415
    from patchline.pictures.files import read_category  # noqa: PLC0415
    from tests.rigs.anomalib_comparison.duel import accuracy, duel  # noqa: PLC0415 - numpy reads the bound once, on import

    category = read_category(data)
    sides, facts = duel(category, anomalib_python, weights, ratio=ratio, threads=threads, seed=seed, runs=runs)
    rows = {name: {**accuracy(category, side), **_times(side)} for name, side in sides.items()}
    ours, theirs = sides["patchline"], sides["anomalib"]
    facts["ratio"] = rows["anomalib"]["total_seconds"] / rows["patchline"]["total_seconds"]
    facts["largest_score_difference"] = float((abs(ours.scores - theirs.scores) / theirs.scores).max())
    _print(rows, facts)
    if json_file is not None:
        report = {"category": category.name, "threads": threads, "runs": runs, "rows": rows, **facts}
        json_file.write_text(json.dumps({**report, **dataclasses.asdict(stamp(seed=seed))}, indent=2) + "\n")


def _times(side: "Side") -> dict[str, Any]:
    times = {f"{phase}_seconds": median(seconds) for phase, seconds in side.seconds.items()}
    times["total_seconds_fastest"] = min(side.seconds["total"])
    return times


def _print(rows: dict[str, dict[str, Any]], facts: dict[str, Any]) -> None:
    for name, row in rows.items():
        times = ", ".join(f"{phase} {1000 * row[key]:.1f}" for phase in _PHASES if (key := f"{phase}_seconds") in row)
        print(f"{name}: image AUROC {row['image_auroc']:.4f}, pixel AUROC {row['pixel_auroc']:.4f}; ms: {times}")
    print(
        f"{facts['ratio']:.2f} times as fast; the scores differ by {facts['largest_score_difference']:.1e} at most; "
        f"{facts['measured_share']:.3%} of the distances measured, all of them took "
        f"{1000 * facts['brute_force_seconds']:.0f} ms; fitted in {facts['fit_seconds']:.1f} s"
    )


if __name__ == "__main__":
    typer.run(main)
