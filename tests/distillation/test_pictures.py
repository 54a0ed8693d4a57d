from pathlib import Path

import numpy as np
import pytest

from distillation.augmentation import training_crop
from distillation.fields import FIELDS
from distillation.pool import open_pool
from distillation.products import draw_product
from distillation.scenes import SCENES, draw_scene
from distillation.shapes import PRINTS


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_lies_between_zero_and_one_and_is_finite(name: str) -> None:
    for seed in range(8):
        field = FIELDS[name](np.random.default_rng(seed), (48, 64))
        assert field.shape == (48, 64)
        assert field.dtype == np.float32
        assert np.isfinite(field).all()
        assert field.min() >= 0
        assert field.max() <= 1


@pytest.mark.parametrize("name", PRINTS)
def test_every_print_leaves_a_mark(name: str) -> None:
    masks = [np.asarray(PRINTS[name](np.random.default_rng(seed), (96, 96))) for seed in range(8)]
    assert sum(mask.any() for mask in masks) >= 6


@pytest.mark.parametrize("name", SCENES)
def test_every_scene_is_light_between_zero_and_one(name: str) -> None:
    light = SCENES[name][1](np.random.default_rng(4), (64, 64))
    assert light.shape == (64, 64, 3)
    assert np.isfinite(light).all()


def test_the_same_seed_draws_the_same_picture_and_another_index_another_one() -> None:
    first, again, other = draw_scene(5, 2, (64, 64)), draw_scene(5, 2, (64, 64)), draw_scene(5, 3, (64, 64))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_products_take_turns_and_are_repeatable() -> None:
    assert np.array_equal(draw_product(1, 0, (96, 96)), draw_product(1, 0, (96, 96)))
    assert not np.array_equal(draw_product(1, 0, (96, 96)), draw_product(1, 1, (96, 96)))


def test_the_pool_does_not_depend_on_the_number_of_workers(tmp_path: Path) -> None:
    seen = []
    one = open_pool(tmp_path / "one", seed=3, scenes=34, products=1, side=64, workers=1)
    two = open_pool(
        tmp_path / "two", seed=3, scenes=34, products=1, side=64, workers=2, on_progress=lambda *at: seen.append(at)
    )
    assert np.array_equal(one, two)
    assert seen == [(32, 35), (35, 35)]
    assert np.array_equal(one[1], draw_scene(3, 1, (64, 64)))
    assert np.array_equal(one[34], draw_product(3, 0, (64, 64)))


def test_an_augmented_crop_has_the_side_asked_for_and_follows_its_generator() -> None:
    pool = np.stack([draw_scene(0, index, (64, 64)) for index in range(4)])
    for seed in range(20):
        crop = training_crop(np.random.default_rng(seed), pool, 48)
        assert crop.shape == (48, 48, 3)
        assert crop.dtype == np.uint8
        assert np.array_equal(crop, training_crop(np.random.default_rng(seed), pool, 48))
