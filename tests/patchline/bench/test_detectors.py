"""The table of detectors: its rows, what stands beside them, and one small run of the whole."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from patchline.bench.detectors.brute_force import BruteForcePatchCore
from patchline.bench.detectors.contenders import ABLATIONS, CONTENDERS, YARDSTICK, chosen
from patchline.bench.detectors.device import row_of
from patchline.bench.detectors.papers import CATEGORIES, IMAGE_AUROC, PAPERS, PIXEL_AUROC, published
from patchline.bench.detectors.plots import draw
from patchline.bench.detectors.rows import beside_the_yardstick
from patchline.bench.detectors.show import configuration
from patchline.cli.bench import app
from patchline.pictures.products import PRODUCTS
from patchline.pictures.products.category import write_category
from patchline.vision.detectors import DETECTORS
from patchline.vision.detectors.patchcore import PatchCore
from patchline.wire.errors import MisconfiguredError

RUNNER = CliRunner()


def maps(seed: int, pictures: int = 6) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {"tap": rng.normal(size=(pictures, 8, 7, 5)).astype(np.float32)}


@pytest.mark.parametrize("name", CONTENDERS | ABLATIONS)
def test_every_contender_can_be_fitted(name: str) -> None:
    contender = (CONTENDERS | ABLATIONS)[name]
    parameters: dict[str, Any] = contender.parameters
    detector = DETECTORS[contender.detector].fit([maps(0)], seed=0, **parameters)
    assert detector.parameters.items() >= contender.parameters.items()
    assert not contender.paper or contender.paper in PAPERS


def test_contenders_are_chosen_by_row_or_by_detector() -> None:
    assert list(chosen([], ablation=False)) == list(CONTENDERS)
    assert list(chosen([YARDSTICK, "padim"], ablation=False)) == [YARDSTICK, "padim", "padim-diagonal"]
    assert list(chosen(["fapm"], ablation=True)) == ["fapm", "fapm-5%", *ABLATIONS]
    assert list(chosen(["fapm-A"], ablation=False)) == ["fapm-A"]
    with pytest.raises(MisconfiguredError, match="'knn' is not measured here"):
        chosen(["knn"], ablation=False)


def test_brute_force_finds_what_exact_search_finds() -> None:
    plain, exact = (kind.fit([maps(1)], seed=0, coreset_ratio=0.5) for kind in (BruteForcePatchCore, PatchCore))
    found, expected = (each.search(each.embed(maps(2))) for each in (plain, exact))
    np.testing.assert_allclose(found.patch, expected.patch, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(found.image, expected.image, rtol=1e-3, atol=1e-3)


def test_published_figures_are_means_with_the_category_s_own_beside_them() -> None:
    bottle = published("fapm", "bottle")
    assert (bottle["image_auroc"], bottle["pixel_auroc"], bottle["images_per_second"]) == (0.990, 0.980, 44.1)
    assert bottle["category"] == {"image_auroc": 1.0, "pixel_auroc": 0.982}
    assert "category" not in published("fapm", "tile_core")
    assert published("padim", "bottle")["category"] == {"pixel_auroc": 0.983}
    assert published("", "bottle") == {}


@pytest.mark.parametrize(("table", "at"), [(IMAGE_AUROC, 0), (PIXEL_AUROC, 1)])
def test_the_paper_s_columns_have_the_means_it_prints(table: dict[str, tuple[float, ...]], at: int) -> None:
    for method, figures in table.items():
        assert len(figures) == len(CATEGORIES)
        assert np.mean(figures) == pytest.approx(PAPERS[method][at], abs=0.0011), method


def test_rates_stand_beside_brute_force_s() -> None:
    rows: list[dict[str, Any]] = [
        {"contender": "fapm", "images_per_second": 60.0},
        {"contender": "patchcore-25%", "refused": "too much"},
        {"contender": YARDSTICK, "images_per_second": 20.0},
    ]
    beside = beside_the_yardstick(rows)
    assert [row.get("times_brute_force") for row in beside] == [3.0, None, 1.0]
    assert beside_the_yardstick(rows[:1]) == rows[:1]
    assert configuration(rows[1]) == "patchcore-25%: not measured: too much"


def test_a_device_s_batches_become_one_row() -> None:
    shared = {"backbone": "patchline_s", "detector": "fapm", "image_auroc": 1.0, "order_kept": 1.0, "banks": [[3, 4]]}
    times = {"backbone_ms": 2.0, "embed_and_search_ms": 0.4, "map_ms": 0.1, "latency_ms": 3.0}
    rates = {1: 300.0, 32: 900.0}
    measured = [
        {**shared, **times, "batch": batch, "pictures_per_second": rate, "share_of_backbone_rate": 0.9}
        | {"peak_device_bytes": batch}
        for batch, rate in rates.items()
    ]
    row = row_of(measured, category="bottle", size=(224, 224), device="a GPU")
    assert (row["images_per_second"], row["best_batch"], row["images_per_second_best_batch"]) == (300.0, 32, 900.0)
    assert row["search_and_map_share"] == pytest.approx(0.25)
    assert "banks 3x4" in configuration(row)


@pytest.mark.torch
def test_a_device_that_is_not_there_is_said(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="the torch extra is not installed")
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    result = RUNNER.invoke(app, ["detectors", "--data", str(tmp_path), "--backbone", "patchline_s", "--device", "cuda"])
    assert isinstance(result.exception, MisconfiguredError | SystemExit)
    assert "there is no device 'cuda'" in f"{result.exception}{result.output}"


def test_the_whole_table_of_drawn_parts(tmp_path: Path) -> None:
    data, file, plots = tmp_path / "washer", tmp_path / "rows.json", tmp_path / "plots"
    write_category(PRODUCTS["washer"], data, train=10, test_good=4, test_per_defect=2, size=(64, 64), seed=0)
    options = ["--backbone", "patchline_s", "--detector", "fapm", "--detector", "patchcore-10%", "--side", "64"]
    options += ["--detector", YARDSTICK, "--runs", "3", "--json", str(file), "--plots", str(plots)]
    result = RUNNER.invoke(app, ["detectors", "--data", str(data), *options], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    document = json.loads(file.read_text())
    assert {"rows", "machine", "versions", "commit", "seed"} <= document.keys()
    rows = {row["contender"]: row for row in document["rows"]}
    assert list(rows) == ["fapm", "fapm-5%", "patchcore-10%", YARDSTICK]
    for name, row in rows.items():
        assert name in result.output
        assert 0 <= row["image_auroc"] <= 1
        assert 0 < row["pixel_f1"] <= 1
        assert row["commission_seconds"] > row["fit_seconds"]
        assert row["artifact_bytes"] > 1000
        assert row["peak_memory_bytes"] > 20_000_000
        assert row["total_seconds"] >= row["backbone_seconds"]
        assert set(row["images_per_second_by_batch"]) == {"1", "2", "4", "8", "16", "32"}
        assert row["search_and_map_share_best_batch"] > 0
        assert row["times_brute_force"] == pytest.approx(
            row["images_per_second"] / rows[YARDSTICK]["images_per_second"]
        )
    same = [rows[name]["image_auroc"] for name in ("patchcore-10%", YARDSTICK)]
    assert same[0] == pytest.approx(same[1])
    assert sorted(path.name for path in plots.iterdir()) == [
        "detectors-washer-image_auroc.png",
        "detectors-washer-pixel_f1.png",
    ]


def test_nothing_to_draw_draws_nothing(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the bench extra is not installed")
    assert draw([], tmp_path) == []
