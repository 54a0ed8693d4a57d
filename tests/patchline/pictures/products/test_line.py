"""A line of drawn parts, each known by its index."""

import numpy as np
import pytest

from patchline.pictures.files import GOOD
from patchline.pictures.products import PRODUCTS
from patchline.pictures.products.line import Line
from patchline.pictures.products.plant import NOTICEABLE
from patchline.pictures.products.protocol import Product
from patchline.wire.errors import MisconfiguredError

SIZE = (64, 64)
every_product = pytest.mark.parametrize("product", list(PRODUCTS.values()), ids=list(PRODUCTS))


@every_product
def test_a_part_is_the_same_whatever_was_drawn_before(product: Product) -> None:
    line = Line(product, seed=3, defect_rate=0.5, size=SIZE)
    forwards = [line.part(index) for index in range(6)]
    backwards = [Line(product, seed=3, defect_rate=0.5, size=SIZE).part(index) for index in reversed(range(6))]
    for one, other in zip(forwards, reversed(backwards), strict=True):
        assert one.label == other.label
        assert np.array_equal(one.pixels, other.pixels)
        assert np.array_equal(one.mask, other.mask)


@every_product
def test_the_truth_is_known_without_drawing(product: Product) -> None:
    line = Line(product, seed=1, defect_rate=0.6, size=SIZE)
    for index in range(8):
        part = line.part(index)
        assert part.label == line.label_of(index)
        assert part.mask.any() == (part.label != GOOD)


def test_about_as_many_parts_are_defective_as_asked_for() -> None:
    line = Line(PRODUCTS["washer"], seed=5, defect_rate=0.2, size=SIZE)
    labels = [line.label_of(index) for index in range(2000)]
    assert 0.17 < sum(label != GOOD for label in labels) / 2000 < 0.23
    assert set(labels) == {GOOD, *PRODUCTS["washer"].defects}


@pytest.mark.parametrize(("rate", "defective"), [(0.0, False), (1.0, True)])
def test_a_line_can_be_all_good_or_all_bad(rate: float, defective: bool) -> None:
    line = Line(PRODUCTS["label"], seed=5, defect_rate=rate, size=SIZE)
    assert all((line.label_of(index) != GOOD) is defective for index in range(50))


def test_a_defective_part_is_the_good_one_with_a_defect() -> None:
    line = Line(PRODUCTS["washer"], seed=5, defect_rate=0, size=(128, 128))
    good, bad = line.part_with(4, GOOD), line.part_with(4, "stain")
    difference = np.abs(good.pixels.astype(int) - bad.pixels).max(axis=2)
    assert difference[~bad.mask].max() < NOTICEABLE
    assert not np.array_equal(good.pixels, bad.pixels)


def test_seeds_and_products_have_lines_of_their_own() -> None:
    lines = [Line(PRODUCTS[name], seed, 0.5, SIZE) for name, seed in (("washer", 1), ("washer", 2), ("label", 1))]
    patterns = {tuple(line.label_of(index) == GOOD for index in range(64)) for line in lines}
    assert len(patterns) == 3


@pytest.mark.parametrize("product", PRODUCTS.values(), ids=PRODUCTS)
def test_the_smallest_pictures_can_be_drawn_and_smaller_ones_are_refused(product: Product) -> None:
    line = Line(product, seed=0, defect_rate=0.1, size=(32, 32))
    for label in (GOOD, *product.defects):
        assert line.part_with(0, label).pixels.shape == (32, 32, 3)
    for size in ((31, 64), (100_000, 100_000)):
        with pytest.raises(MisconfiguredError, match=r"cannot be drawn .* take at least 32 a side"):
            Line(product, seed=0, defect_rate=0.1, size=size)
