"""Drawn parts for a line without a camera: they prove that pictures flow, never how accurate a detector is."""

from functools import partial
from typing import Annotated, Literal

from pydantic import Field

from edge_node.capture.sources.protocol import Pixels, Shot, Source, SourceContext, SourceSettings
from edge_node.outbox.rows import Trigger
from patchline.pictures.products import PRODUCTS
from patchline.pictures.products.line import Line
from patchline.wire.errors import MisconfiguredError

Share = Annotated[float, Field(gt=0, le=1)]


class SyntheticSettings(SourceSettings):
    """Drawn parts."""

    kind: Literal["synthetic"] = Field(description="which source")
    product: str = Field(description="which product is drawn")
    size: tuple[int, int] = Field((256, 256), description="height and width of the drawing")
    seed: int = Field(0, description="part n of a seed is always the same picture")
    parts: int | None = Field(None, ge=1, description="how many parts; endless unless given")
    defect_share: float = Field(0.1, ge=0, le=1, description="share of defective parts")
    defect_sizes: tuple[Share, Share] = Field(
        (0.10, 0.24), description="smallest and largest defect as a share of the picture's side"
    )
    defect_contrasts: tuple[Share, Share] = Field((0.75, 1.0), description="faintest and strongest a defect stands out")


class SyntheticSource(Source):
    """A line of drawn products, some of them defective; what part `n` of a seed is, `Line.label_of(n)` tells.

    An id told by a trigger goes before the drawn part's own.

    Raises:
        MisconfiguredError: There is no such product.
    """

    Settings = SyntheticSettings

    def __init__(self, settings: SyntheticSettings, context: SourceContext) -> None:
        super().__init__(settings, context)
        if settings.product not in PRODUCTS:
            raise MisconfiguredError(
                f"there is no product {settings.product!r}",
                where="source.product",
                remedy=f"choose from {', '.join(PRODUCTS)}",
            )
        self._line = Line(
            PRODUCTS[settings.product],
            settings.seed,
            settings.defect_share,
            settings.size,
            settings.defect_sizes,
            settings.defect_contrasts,
        )
        self._number, self._parts = 0, settings.parts

    def at(self, trigger: Trigger) -> Shot | None:
        """The next drawn part."""
        if self.ended():
            return None
        number, self._number = self._number, self._number + 1
        name = f"{self._line.product.name}-{self._line.seed}-{number:06d}"
        return Shot(trigger.part_id or name, partial(self._draw, number))

    def ended(self) -> bool:
        """Whether all parts are drawn."""
        return self._parts is not None and self._number >= self._parts

    def _draw(self, number: int) -> Pixels:
        return self._line.part(number).pixels
