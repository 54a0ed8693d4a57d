from typing import Any

import numpy as np
import pytest

from patchline.vision.detectors.scoring import picture_scores


def test_pictures_are_scored_as_each_way_says() -> None:
    patch = np.random.default_rng(0).random((3, 20, 20)).astype(np.float32)
    ordered = np.sort(patch.reshape(3, -1), axis=1)
    np.testing.assert_array_equal(picture_scores(patch, "peak"), ordered[:, -1])
    np.testing.assert_allclose(picture_scores(patch, "top"), ordered[:, -4:].mean(axis=1), rtol=1e-6)
    np.testing.assert_allclose(picture_scores(patch, "contrast"), ordered[:, -1] - ordered.mean(axis=1), rtol=1e-6)


@pytest.mark.parametrize("score", ["peak", "top"])
def test_a_map_of_few_patches_has_a_top_of_one(score: Any) -> None:
    patch = np.arange(6, dtype=np.float32).reshape(1, 2, 3)
    np.testing.assert_array_equal(picture_scores(patch, score), [5.0])


def test_what_the_whole_picture_has_is_no_contrast() -> None:
    patch = np.random.default_rng(0).random((1, 9, 9)).astype(np.float32)
    np.testing.assert_allclose(picture_scores(patch + 3, "contrast"), picture_scores(patch, "contrast"), rtol=1e-5)


def test_patches_are_not_changed() -> None:
    patch = np.random.default_rng(0).random((2, 9, 9)).astype(np.float32)
    before = patch.copy()
    picture_scores(patch, "top")
    picture_scores(patch, "contrast")
    np.testing.assert_array_equal(patch, before)
