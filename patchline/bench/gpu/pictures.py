"""The pictures that are inspected, decoded and resized beforehand: real ones of a category, or drawn ones."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from patchline.pictures.files import GOOD, open_picture, read_category
from patchline.pictures.products import PRODUCTS
from patchline.pictures.products.plant import plant
from patchline.vision.pixels.arrays import Pixels, Size
from patchline.vision.pixels.preprocessing import resize

_PRODUCT = "weave"


class Pictures(NamedTuple):
    """What is learnt from and what is inspected.

    Attributes:
        name: Where they come from.
        normal: `(N, H, W, 3)`.
        test: `(M, H, W, 3)`.
        anomalous: `(M,)`, which of those have a defect.
    """

    name: str
    normal: Pixels
    test: Pixels
    anomalous: NDArray[np.bool_]


def of_category(folder: Path, size: Size, *, normal: int, test: int, seed: int) -> Pictures:
    """Pictures of a category in MVTec's layout, at most so many, chosen at random.

    Raises:
        MisconfiguredError: The folder is no category.
        UnreadableError: A picture cannot be read.
    """
    category = read_category(folder)
    rng = np.random.default_rng(seed)
    learnt = [category.train[at] for at in rng.permutation(len(category.train))[:normal]]
    tested = [category.test[at] for at in rng.permutation(len(category.test))[:test]]
    opened = [np.stack([resize(open_picture(each.path), size) for each in each_set]) for each_set in (learnt, tested)]
    return Pictures(category.name, opened[0], opened[1], np.array([each.label != GOOD for each in tested]))


def drawn(size: Size, *, normal: int, test: int, seed: int) -> Pictures:
    """Drawn parts, every other one of the test with a planted defect; they tell speed, not accuracy."""
    rng = np.random.default_rng(seed)
    product = PRODUCTS[_PRODUCT]
    anomalous = np.arange(test) % 2 == 1
    parts = [product.draw(rng, size) for _ in range(normal + test)]
    tested = [
        plant(part, str(rng.choice(product.defects)), rng=rng)[0] if defective else part.pixels
        for part, defective in zip(parts[normal:], anomalous, strict=True)
    ]
    return Pictures(
        f"drawn {_PRODUCT}", np.stack([part.pixels for part in parts[:normal]]), np.stack(tested), anomalous
    )
