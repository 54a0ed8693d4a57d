"""The synthetic line's own products as training pictures, half of them with a planted defect."""

from __future__ import annotations

import numpy as np

from distillation.fields import Size, chance
from patchline.pictures.products import PRODUCTS
from patchline.pictures.products.plant import plant
from patchline.pictures.products.protocol import Pixels
from patchline.wire.errors import MisconfiguredError


def draw_product(seed: int, index: int, size: Size) -> Pixels:
    """Product picture `index` of that seed, (H, W, 3) uint8; the products take turns."""
    rng = np.random.default_rng([seed, 3, index])
    names = list(PRODUCTS)
    product = PRODUCTS[names[index % len(names)]]
    drawing = product.draw(rng, size)
    if chance(rng, 0.5):
        return drawing.pixels
    kind = str(rng.choice(list(product.defects)))
    try:
        return plant(drawing, kind, size=float(rng.uniform(0.08, 0.4)), contrast=float(rng.uniform(0.5, 1)), rng=rng)[0]
    except MisconfiguredError:  # no trial of this defect could be seen: the normal part teaches as well
        return drawing.pixels
