"""Planting defects: sizes, contrasts, any picture, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from patchline.pictures.products import PRODUCTS
from patchline.pictures.products.plant import DEFECTS, NOTICEABLE, plant, plant_into
from patchline.wire.errors import MisconfiguredError

every_kind = pytest.mark.parametrize("kind", list(DEFECTS))


def picture(size: tuple[int, int] = (120, 160), level: int = 110) -> NDArray[np.uint8]:
    """Stripes and noise around a level: something to cover, whatever its brightness."""
    rng = np.random.default_rng(1)
    stripes = 30 * np.sin(np.arange(size[1]) / 5)[None, :, None]
    return np.clip(level + stripes + rng.normal(0, 4, (*size, 3)), 0, 255).astype(np.uint8)


def longest_side(mask: NDArray[np.bool_]) -> int:
    rows, columns = np.nonzero(mask)
    return int(max(np.ptp(rows), np.ptp(columns))) + 1


@every_kind
@pytest.mark.parametrize("level", [12, 110, 235])
def test_a_defect_can_be_planted_into_any_picture(kind: str, level: int) -> None:
    normal = picture(level=level)
    before = normal.copy()
    for seed in range(4):
        pixels, mask = plant_into(normal, kind, rng=np.random.default_rng(seed))
        change = np.abs(pixels.astype(int) - before).max(axis=2)
        assert np.array_equal(normal, before)
        assert pixels.dtype == np.uint8
        assert mask.any()
        assert change[~mask].max() < NOTICEABLE
        assert (change[mask] >= NOTICEABLE).mean() > 0.5


@every_kind
def test_a_larger_defect_is_larger(kind: str) -> None:
    sides = [
        np.median(
            [longest_side(plant_into(picture(), kind, size=size, rng=np.random.default_rng(n))[1]) for n in range(7)]
        )
        for size in (0.12, 0.3, 0.6)
    ]
    assert sides[0] < sides[1] < sides[2]
    assert 0.5 * 0.3 * 120 < sides[1] < 1.3 * 0.3 * 120


@every_kind
def test_a_defect_of_more_contrast_differs_more(kind: str) -> None:
    change = []
    for contrast in (0.35, 0.7, 1.0):
        pixels, _ = plant_into(picture(), kind, size=0.3, contrast=contrast, rng=np.random.default_rng(3))
        change.append(np.abs(pixels.astype(int) - picture()).sum())
    assert change[0] < change[1] < change[2]


@every_kind
@settings(max_examples=15, deadline=None)
@given(height=st.integers(24, 150), width=st.integers(24, 150), size=st.floats(0.05, 1.0), seed=st.integers(0, 2**32))
def test_no_size_breaks_out_of_the_picture(kind: str, height: int, width: int, size: float, seed: int) -> None:
    try:
        pixels, mask = plant_into(picture((height, width)), kind, size=size, rng=np.random.default_rng(seed))
    except MisconfiguredError as error:
        assert "cannot be seen" in error.what  # noqa: PT017 a defect of a pixel or two may vanish, nothing else may
    else:
        assert pixels.shape == (height, width, 3)
        assert mask.shape == (height, width)


def test_a_defect_nobody_could_see_is_refused() -> None:
    with pytest.raises(MisconfiguredError, match=r"dent of size 0\.2 and contrast 0\.001 cannot be seen"):
        plant_into(picture(), "dent", size=0.2, contrast=0.001, rng=np.random.default_rng(0))


@pytest.mark.parametrize(("size", "contrast"), [(0, 1), (-1, 1), (1.2, 1), (0.2, 0), (0.2, 1.5), (float("nan"), 1)])
def test_a_size_or_contrast_out_of_range_is_refused(size: float, contrast: float) -> None:
    with pytest.raises(MisconfiguredError, match="between 0 and 1"):
        plant_into(picture(), "dent", size=size, contrast=contrast, rng=np.random.default_rng(0))
    drawing = PRODUCTS["board"].draw(np.random.default_rng(0), (64, 64))
    with pytest.raises(MisconfiguredError, match="between 0 and 1"):
        plant(drawing, "missing_part", size=size, contrast=contrast, rng=np.random.default_rng(0))


def test_an_unknown_defect_is_answered_with_the_known_ones() -> None:
    with pytest.raises(MisconfiguredError) as caught:
        plant_into(picture(), "rust", rng=np.random.default_rng(0))
    assert all(kind in caught.value.remedy for kind in DEFECTS)


def test_a_defect_the_product_cannot_have_is_answered_with_those_it_can() -> None:
    product = PRODUCTS["weave"]
    drawing = product.draw(np.random.default_rng(0), (64, 64))
    with pytest.raises(MisconfiguredError) as caught:
        plant(drawing, "dent", rng=np.random.default_rng(0))
    assert all(kind in caught.value.remedy for kind in product.defects)
    assert "dent" not in caught.value.remedy
