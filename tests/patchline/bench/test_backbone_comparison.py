from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from patchline.bench.backbone import categories, cost, speed, table
from patchline.bench.backbone_comparison import contestant, duel, mean_differences
from patchline.bench.multiply_adds import multiply_adds
from patchline.pictures.files import read_category
from patchline.vision.backbones.graph import cut
from patchline.wire.errors import MisconfiguredError


@pytest.fixture
def category(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for folder, count in (("train/good", 4), ("test/good", 3), ("test/hole", 3), ("ground_truth/hole", 3)):
        place = tmp_path / "kind" / "plate" / folder
        place.mkdir(parents=True)
        for index in range(count):
            pixels = rng.integers(90, 110, (64, 64, 3), dtype=np.uint8)
            mask = np.zeros((64, 64), np.uint8)
            mask[20:40, 20:40] = 255
            if "hole" in folder:
                pixels[mask > 0] = (250, 10, 10)
            truth = folder.startswith("ground_truth")
            name = f"{index:03}_mask.png" if truth else f"{index:03}.png"
            Image.fromarray(mask if truth else pixels).save(place / name)
    return tmp_path


def test_a_backbone_draws_with_itself_on_every_category_found(category: Path) -> None:
    found = categories(category)
    assert [each.name for each in found] == ["plate"]
    twice = contestant("patchline_s", None, 1)
    row, resampled = duel(found[0], (twice, twice), "patchcore", (64, 64), seed=0, parameters={})
    assert row["patchline_s"]["image_auroc"] == 1
    assert row["patchline_s"]["pixel_f1"] > 0.5
    assert row["image_auroc_difference"] == {"value": 0, "interval": (0, 0)}
    means = mean_differences([row], [resampled])
    assert means["pixel_f1"] == {"value": 0, "interval": (0, 0), "categories": 1}
    assert table([row], (twice, twice)).row_count == 1


def test_the_artifact_is_counted_in_float32(category: Path) -> None:
    backbone = contestant("patchline_s", None, 1)
    plate = read_category(category / "kind" / "plate")
    row, _ = duel(plate, (backbone, backbone), "patchcore", (64, 64), seed=0, parameters={"coreset_ratio": 0.5})
    channels = sum(array.shape[1] for array in backbone.engine.run(np.zeros((1, 3, 64, 64), np.float32)).values())
    assert row["patchline_s"]["artifact_bytes"] == 4 * 64 // 2 * channels * 4


def test_speed_is_told_for_each_contestant() -> None:
    found = speed([contestant("patchline_s", None, 1)], (64, 64), seed=0)
    assert 0 < found["patchline_s"]["fastest"] <= found["patchline_s"]["median"]


def test_a_quarter_of_the_pixels_costs_a_quarter_of_the_multiply_adds() -> None:
    pytest.importorskip("onnx", reason="the torch extra is not installed")
    backbone = contestant("patchline_s", None, 1)
    model = cut(backbone.model, backbone.taps)
    assert multiply_adds(model, (224, 224)) == 4 * multiply_adds(model, (112, 112))
    told = cost((backbone, backbone), (64, 64), seed=0, threads=1)
    assert told["model_bytes"]["patchline_s"] == len(backbone.model)


def test_a_backbone_that_does_not_exist_and_a_folder_without_categories_are_named(tmp_path: Path) -> None:
    with pytest.raises(MisconfiguredError, match=r"no backbone is called .resnet7."):
        contestant("resnet7", None, 1)
    with pytest.raises(MisconfiguredError, match="train/good"):
        categories(tmp_path)
