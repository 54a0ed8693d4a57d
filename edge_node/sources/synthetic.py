"""Drawn parts for a line without a camera: they prove that pictures flow, never how accurate a detector is."""

from collections.abc import Iterator
from functools import partial
from itertools import count

import numpy as np

from edge_node.sources.protocol import Pixels, Shot
from edge_node.sources.triggers import Triggers
from pictures.products import PRODUCTS
from pictures.products.plant import plant
from wire_contract.errors import MisconfiguredError


class SyntheticSource:
    """A line of drawn products, some of them defective.

    Args:
        product: A name of `pictures.products.PRODUCTS`.
        triggers: When to draw the next part; an id told by a trigger goes before the drawn part's own.
        size: Height and width of the drawing in pixels.
        seed: Part `n` of one seed is the same picture in every run.
        parts: How many to draw; None draws until the triggers stop.
        defect_share: Share of the parts that get a defect.
        defect_size: Size of a defect as a share of the picture's side.
        defect_contrast: How strongly a defect stands out, 0 to 1.

    Raises:
        MisconfiguredError: There is no such product.
    """

    def __init__(
        self,
        product: str,
        triggers: Triggers,
        *,
        size: tuple[int, int] = (256, 256),
        seed: int = 0,
        parts: int | None = None,
        defect_share: float = 0.1,
        defect_size: float = 0.12,
        defect_contrast: float = 0.7,
    ) -> None:
        if product not in PRODUCTS:
            raise MisconfiguredError(
                f"there is no product {product!r}", where="source.product", remedy=f"choose from {', '.join(PRODUCTS)}"
            )
        self._product, self._triggers, self._size, self._seed, self._parts = product, triggers, size, seed, parts
        self._share, self._defect_size, self._contrast = defect_share, defect_size, defect_contrast

    def frames(self) -> Iterator[Shot]:
        """One shot a drawn part."""
        numbers = count() if self._parts is None else iter(range(self._parts))
        for number, part_id in zip(numbers, self._triggers, strict=False):
            yield Shot(part_id or f"{self._product}-{self._seed}-{number:06d}", partial(self._draw, number))

    def _draw(self, number: int) -> Pixels:
        product = PRODUCTS[self._product]
        rng = np.random.default_rng((self._seed, number))
        drawing = product.draw(rng, self._size)
        if rng.random() >= self._share:
            return drawing.pixels
        kind = product.defects[rng.integers(len(product.defects))]
        pixels, _ = plant(drawing, kind, size=self._defect_size, contrast=self._contrast, rng=rng)
        return pixels
