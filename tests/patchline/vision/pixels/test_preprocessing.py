"""Pictures on their way into a backbone."""

import numpy as np
from PIL import Image

from patchline.vision.pixels.preprocessing import IMAGENET_MEAN, IMAGENET_STD, normalise, resize


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_normalising_is_division_by_255_then_imagenet_mean_and_deviation() -> None:
    batch = np.stack([noise(5, 7), noise(5, 7)[::-1]])
    expected = (batch / 255.0 - np.array(IMAGENET_MEAN)) / np.array(IMAGENET_STD)
    planes = normalise(batch)
    assert planes.dtype == np.float32
    assert planes.flags.c_contiguous
    np.testing.assert_allclose(planes, expected.transpose(0, 3, 1, 2), atol=1e-6)


def test_a_picture_of_the_right_size_is_passed_on_as_it_is() -> None:
    pixels = noise(6, 8)
    assert resize(pixels, (6, 8)) is pixels


def test_sizes_are_height_then_width_and_the_input_is_not_changed() -> None:
    pixels = noise(40, 20)
    before = pixels.copy()
    assert resize(pixels, (10, 30)).shape == (10, 30, 3)
    np.testing.assert_array_equal(pixels, before)


def test_shrinking_averages_over_what_it_leaves_out() -> None:
    checkerboard = np.where((np.indices((64, 64)).sum(axis=0) % 2)[..., None], 255, 0).astype(np.uint8)
    small = resize(np.broadcast_to(checkerboard, (64, 64, 3)).copy(), (8, 8))
    assert np.abs(small.astype(int) - 127).max() <= 1
    by_pillow = Image.fromarray(noise(64, 64)).resize((8, 8), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(resize(noise(64, 64), (8, 8)), np.asarray(by_pillow))
