"""What every drawn product must keep to; a new product is tested by being registered."""

import numpy as np
import pytest

from patchline.pictures.files import GOOD
from patchline.pictures.products import PRODUCTS
from patchline.pictures.products.line import labels_of
from patchline.pictures.products.plant import DEFECTS, NOTICEABLE, plant
from patchline.pictures.products.protocol import Product

SIZE = (128, 128)
every_product = pytest.mark.parametrize("product", list(PRODUCTS.values()), ids=list(PRODUCTS))
every_defect = pytest.mark.parametrize(
    ("product", "kind"),
    [
        pytest.param(product, kind, id=f"{name}-{kind}")
        for name, product in PRODUCTS.items()
        for kind in product.defects
    ],
)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@every_product
def test_a_product_is_registered_under_its_name_with_known_defects(product: Product) -> None:
    assert PRODUCTS[product.name] is product
    assert set(product.defects) <= set(DEFECTS)
    assert len(product.defects) >= 3
    assert labels_of(product) == (GOOD, *product.defects)


def test_every_kind_of_defect_is_drawn_on_some_product() -> None:
    assert {kind for product in PRODUCTS.values() for kind in product.defects} == set(DEFECTS)


@every_product
@pytest.mark.parametrize("size", [(64, 64), (96, 150), (151, 97), (256, 256)])
def test_a_part_is_drawn_in_any_size(product: Product, size: tuple[int, int]) -> None:
    pixels = product.draw(rng(), size).pixels
    assert pixels.shape == (*size, 3)
    assert pixels.dtype == np.uint8
    assert pixels.std() > 15


@every_product
def test_the_same_chance_draws_the_same_part_and_another_a_different_one(product: Product) -> None:
    first, again, other = (product.draw(rng(seed), SIZE).pixels for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert (first != other).mean() > 0.5


@every_product
def test_normal_parts_vary_but_stay_of_one_kind(product: Product) -> None:
    parts = np.stack([product.draw(rng(seed), SIZE).pixels for seed in range(6)]).astype(np.float32)
    brightness = parts.mean(axis=(1, 2, 3))
    assert 0.1 < brightness.std() < 8
    # Small pictures of two normal parts agree; only texture, light and a little movement differ.
    coarse = parts.reshape(6, 8, 16, 8, 16, 3).mean(axis=(2, 4))
    assert np.abs(coarse - coarse.mean(axis=0)).mean() < 8


@every_product
def test_regions_lie_inside_the_picture_and_are_not_empty(product: Product) -> None:
    drawing = product.draw(rng(3), (100, 140))
    assert {kind for region in drawing.regions for kind in region.defects} == set(product.defects)
    for region in drawing.regions:
        cover = region.coverage()
        assert cover.shape == (100, 140)
        assert cover.min() >= 0
        assert 0.5 < cover.max() <= 1.001
        assert 0 < region.extent <= 1


@every_defect
def test_a_defect_changes_exactly_the_pixels_of_its_mask(product: Product, kind: str) -> None:
    for seed in range(3):
        drawing = product.draw(rng(seed), SIZE)
        before = drawing.pixels.copy()
        pixels, mask = plant(drawing, kind, rng=rng(seed))
        change = np.abs(pixels.astype(int) - before).max(axis=2)
        assert np.array_equal(drawing.pixels, before)
        assert mask.any()
        assert not mask.all()
        assert change[~mask].max() < NOTICEABLE
        assert (change[mask] >= NOTICEABLE).mean() > 0.6


@every_defect
def test_the_same_chance_plants_the_same_defect(product: Product, kind: str) -> None:
    drawing = product.draw(rng(4), SIZE)
    first, again = (plant(drawing, kind, rng=rng(7)) for _ in range(2))
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])


@every_defect
def test_small_and_pale_defects_can_still_be_planted(product: Product, kind: str) -> None:
    for seed in range(4):
        _, mask = plant(product.draw(rng(seed), (224, 224)), kind, size=0.08, contrast=0.6, rng=rng(seed))
        assert mask.sum() >= 6


@pytest.mark.parametrize(("name", "kind"), [("washer", "missing_part"), ("board", "missing_part")])
def test_a_solid_part_is_missing_at_any_contrast(name: str, kind: str) -> None:
    drawing = PRODUCTS[name].draw(rng(1), SIZE)
    plain, pale = (plant(drawing, kind, contrast=contrast, rng=rng(2))[0] for contrast in (1.0, 0.3))
    assert np.array_equal(plain, pale)


def test_print_can_be_missing_by_half() -> None:
    drawing = PRODUCTS["label"].draw(rng(1), SIZE)
    plain, pale = (plant(drawing, "missing_part", contrast=contrast, rng=rng(2))[0] for contrast in (1.0, 0.3))
    change = [np.abs(pixels.astype(int) - drawing.pixels).sum() for pixels in (plain, pale)]
    assert change[1] < 0.7 * change[0]


def test_a_missing_component_changes_only_its_surroundings() -> None:
    drawing = PRODUCTS["board"].draw(rng(1), (256, 256))
    for region in drawing.regions:
        if region.without is None or region.name not in {"R3", "C1", "U2"}:
            continue
        changed = (region.without(0.1, rng()) != drawing.pixels).any(axis=2)
        rows, columns = np.nonzero(region.coverage() > 0.1)
        apart = np.ones_like(changed)
        apart[max(0, rows.min() - 30) : rows.max() + 40, max(0, columns.min() - 30) : columns.max() + 40] = False
        assert changed.any()
        assert not changed[apart].any()


@pytest.mark.parametrize("kind", ["scratch", "dent", "stain", "crack"])
def test_a_defect_of_the_surface_lies_on_the_part(kind: str) -> None:
    drawing = PRODUCTS["washer"].draw(rng(5), (256, 256))
    face = next(region for region in drawing.regions if region.name == "face").coverage()
    for seed in range(4):
        _, mask = plant(drawing, kind, rng=rng(seed))
        assert face[mask].mean() > 0.9
