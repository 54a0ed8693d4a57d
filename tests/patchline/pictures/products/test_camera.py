"""From light to pixels and back."""

import numpy as np

from patchline.pictures.products.camera import Exposure, gathered, light_of, pixels_of


def test_every_level_survives_the_way_to_light_and_back() -> None:
    levels = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    assert np.abs(pixels_of(light_of(levels)).astype(int) - levels).max() <= 1


def test_what_is_too_bright_is_white_and_what_is_impossible_black() -> None:
    assert pixels_of(np.array([[[7.0, 1.0, -3.0]]], dtype=np.float32)).tolist() == [[[255, 255, 0]]]


def test_gathering_is_the_mean_of_four() -> None:
    fine = np.arange(16, dtype=np.float32).reshape(4, 4)
    assert gathered(fine).tolist() == [[2.5, 4.5], [10.5, 12.5]]
    assert gathered(np.repeat(fine[..., None], 3, axis=2)).shape == (2, 2, 3)


def test_an_exposure_takes_the_same_picture_twice_and_leaves_the_scene_alone() -> None:
    scene = np.full((40, 40, 3), 0.3, dtype=np.float32)
    exposure = Exposure.vary(np.random.default_rng(1))
    assert np.array_equal(exposure.take(scene), exposure.take(scene))
    assert (scene == np.float32(0.3)).all()
    assert 0.5 < exposure.take(scene).astype(float).std() < 12
