"""What tuning brings: its tables, its means, and one small run of the whole."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from patchline.bench.tuning_gain import command, means, sizes_table, table
from patchline.commissioning.trials import tuner
from patchline.pictures.products import PRODUCTS
from patchline.pictures.products.category import write_category


def row(category: str, default: float, tuned: float, pixel_f1: float | None = 0.5) -> dict[str, Any]:
    told = {"parameters": {"input_size": "320x320"}, "gain": 0.05, "interval": [0.03, 0.07], "margin": 0.02}
    return {
        "category": category,
        "detector": "fapm",
        "default": {"image_auroc": default, "pixel_f1": pixel_f1},
        "tuned": {"image_auroc": tuned, "pixel_f1": pixel_f1},
        "input_size": "320x320",
        "input_sizes": {
            "224x224": {"image_auroc": default, "pixel_f1": pixel_f1},
            "320x320": {"image_auroc": tuned, "pixel_f1": pixel_f1},
        },
        "input_tuning": {
            "chosen": {"input_size": "320x320"},
            "tried": [{**told, "cost": {"pixels": 2.04, "seconds": 2.0, "payload": 1.8}}],
        },
        "tuning": {"chosen": {"score": "top"}},
    }


def read(shown: object) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(shown)
    return capture.get()


def test_means_are_over_the_categories_that_have_the_measure_and_name_the_worst_loss() -> None:
    found = means([row("a", 0.9, 0.95), row("b", 1.0, 0.98, None)])
    assert found["image_auroc"] == pytest.approx({"default": 0.95, "tuned": 0.965, "worst_change": -0.02})
    assert found["pixel_f1"] == pytest.approx({"default": 0.5, "tuned": 0.5, "worst_change": 0.0})
    assert means([row("b", 1.0, 0.98, None)]).keys() == {"image_auroc"}


def test_tables_say_what_was_chosen_and_what_every_size_brought() -> None:
    rows = [row("bottle", 0.9, 0.95)]
    assert "0.9000 -> 0.9500" in read(table(rows, "fapm"))
    assert "input_size=320x320 score=top" in read(table(rows, "fapm"))
    lines = read(sizes_table(rows, "fapm")).splitlines()
    assert any("224x224" in line and "0.9000" in line and "yes" not in line for line in lines)
    larger = next(line for line in lines if "320x320" in line)
    for word in ("2.04", "0.9500", "+0.0500 (+0.0300 to +0.0700)", "0.0200", "yes"):
        assert word in larger


def test_the_whole_table_of_drawn_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuner, "PLANTED", 10)
    data, file = tmp_path / "washer", tmp_path / "gain.json"
    write_category(PRODUCTS["washer"], data, train=10, test_good=4, test_per_defect=1, size=(64, 96), seed=0)
    app = typer.Typer()
    app.command()(command)
    options = ["--data", str(data), "--backbone", "patchline_s", "--detectors", "padim", "--side", "64"]
    result = CliRunner().invoke(app, [*options, "--json", str(file)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    document = json.loads(file.read_text())
    assert {"rows", "means", "machine", "versions", "commit", "seed"} <= document.keys()
    (found,) = document["rows"]
    assert list(found["input_sizes"]) == ["64x64", "48x80", "64x96", "80x112"]
    assert found["default"] == found["input_sizes"]["64x64"]
    assert found["input_size"] in found["input_sizes"]
    assert document["means"]["padim"]["image_auroc"]["default"] == pytest.approx(found["default"]["image_auroc"])
    assert "drawn into 10 normal pictures" in result.output
