"""A picture tells of its camera: dark, burnt out, out of focus."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from patchline.pictures.products import PRODUCTS
from patchline.vision.pixels.picture_health import look_at


@pytest.fixture(scope="module")
def part() -> Image.Image:
    return Image.fromarray(PRODUCTS["board"].draw(np.random.default_rng(3), (224, 224)).pixels)


def test_focus_falls_with_every_step_out_of_focus(part: Image.Image) -> None:
    blurred = [part, *(part.filter(ImageFilter.GaussianBlur(radius)) for radius in (1, 2, 4))]
    focus = [look_at(np.asarray(picture)).focus for picture in blurred]
    assert focus == sorted(focus, reverse=True)
    assert focus[0] > 4 * focus[1]


@pytest.mark.parametrize("level", [0, 64, 255])
def test_an_even_picture_has_its_level_and_no_focus(level: int) -> None:
    health = look_at(np.full((32, 48, 3), level, np.uint8))
    assert health.brightness == pytest.approx(level / 255)
    assert health.focus == 0
    assert health.clipped == (1.0 if level in {0, 255} else 0.0)


def test_clipped_pixels_at_both_ends_are_counted() -> None:
    pixels = np.full((10, 10, 3), 128, np.uint8)
    pixels[0], pixels[1, :5] = 0, 255
    assert look_at(pixels).clipped == pytest.approx(0.15)


def test_the_laplacian_of_a_point_is_known() -> None:
    pixels = np.zeros((5, 5, 3), np.uint8)
    pixels[2, 2] = 100
    assert look_at(pixels).focus == pytest.approx(np.var([0, 100, 0, 100, -400, 100, 0, 100, 0]))
