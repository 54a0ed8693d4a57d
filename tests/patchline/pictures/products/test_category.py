"""Drawn category folders."""

from pathlib import Path

import numpy as np
import pytest

from patchline.pictures.files import GOOD, open_mask, open_picture, read_category
from patchline.pictures.products import PRODUCTS
from patchline.pictures.products.category import write_category
from patchline.wire.errors import MisconfiguredError

WASHER = PRODUCTS["washer"]


def written(directory: Path, seed: int = 2) -> Path:
    write_category(WASHER, directory, train=3, test_good=2, test_per_defect=1, size=(64, 80), seed=seed)
    return directory


def test_what_is_written_can_be_read_with_its_truth(tmp_path: Path) -> None:
    category = read_category(written(tmp_path / "new" / "washer"))
    assert category.name == "washer"
    assert len(category.train) == 3
    assert sorted(sample.label for sample in category.test) == sorted((GOOD, GOOD, *WASHER.defects))
    for sample in category.test:
        mask = open_mask(sample, (64, 80))
        assert open_picture(sample.path).shape == (64, 80, 3)
        assert mask is not None
        assert mask.any() == (sample.label != GOOD)


def test_no_two_pictures_are_the_same_part(tmp_path: Path) -> None:
    category = read_category(written(tmp_path / "washer"))
    pictures = [open_picture(sample.path) for sample in (*category.train, *category.test)]
    for index, picture in enumerate(pictures):
        assert all((picture != other).mean() > 0.3 for other in pictures[index + 1 :])


def test_the_same_seed_writes_the_same_folder(tmp_path: Path) -> None:
    contents = []
    for name, seed in (("a", 2), ("b", 2), ("c", 3)):
        root = written(tmp_path / name, seed)
        contents.append({str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.png")})
    assert contents[0] == contents[1]
    assert contents[0] != contents[2]
    assert contents[0].keys() == contents[2].keys()


def test_progress_is_told_up_to_the_end(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    write_category(
        PRODUCTS["label"],
        tmp_path,
        train=1,
        test_good=1,
        test_per_defect=1,
        size=(64, 64),
        on_progress=lambda done, total: told.append((done, total)),
    )
    assert told == [(n, 6) for n in range(1, 7)]


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(MisconfiguredError, match="holds something already"):
        written(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(MisconfiguredError, match="cannot be written"):
        written(tmp_path / "file" / "washer")


def test_masks_mark_what_differs_from_the_good_part(tmp_path: Path) -> None:
    category = read_category(written(tmp_path / "washer"))
    masks = [open_mask(sample, (64, 80)) for sample in category.test if sample.label != GOOD]
    assert all(mask is not None and 6 <= np.count_nonzero(mask) < 64 * 80 / 4 for mask in masks)
