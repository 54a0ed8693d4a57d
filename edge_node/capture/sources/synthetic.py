"""Drawn parts for a line without a camera: they prove that pictures flow, never how accurate a detector is."""

from collections.abc import Iterator
from functools import partial
from itertools import count

from edge_node.capture.sources.protocol import Pixels, Shot
from edge_node.capture.sources.triggers import Triggers
from patchline.pictures.products import PRODUCTS
from patchline.pictures.products.line import Line
from patchline.wire.errors import MisconfiguredError


class SyntheticSource:
    """A line of drawn products, some of them defective; what part `n` of a seed is, `Line.label_of(n)` tells.

    Args:
        product: A name of `patchline.pictures.products.PRODUCTS`.
        triggers: When to draw the next part; an id told by a trigger goes before the drawn part's own.
        size: Height and width of the drawing in pixels.
        seed: Part `n` of one seed is the same picture in every run.
        parts: How many to draw; None draws until the triggers stop.
        defect_share: Share of the parts that get a defect.
        defect_sizes: Smallest and largest defect as a share of the picture's side.
        defect_contrasts: Faintest and strongest a defect stands out, 0 to 1.

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
        defect_sizes: tuple[float, float] = (0.10, 0.24),
        defect_contrasts: tuple[float, float] = (0.75, 1.0),
    ) -> None:
        if product not in PRODUCTS:
            raise MisconfiguredError(
                f"there is no product {product!r}", where="source.product", remedy=f"choose from {', '.join(PRODUCTS)}"
            )
        self._triggers, self._parts = triggers, parts
        self._line = Line(PRODUCTS[product], seed, defect_share, size, defect_sizes, defect_contrasts)

    def frames(self) -> Iterator[Shot]:
        """One shot a drawn part."""
        numbers = count() if self._parts is None else iter(range(self._parts))
        name = f"{self._line.product.name}-{self._line.seed}"
        for number, part_id in zip(numbers, self._triggers, strict=False):
            yield Shot(part_id or f"{name}-{number:06d}", partial(self._draw, number))

    def _draw(self, number: int) -> Pixels:
        return self._line.part(number).pixels
