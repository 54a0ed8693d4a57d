"""A line of drawn parts whose every part is known by its index, whatever was drawn before."""

import zlib
from dataclasses import dataclass

import numpy as np

from patchline.pictures.files import GOOD
from patchline.pictures.products.plant import Mask, plant
from patchline.pictures.products.protocol import Pixels, Product
from patchline.wire.errors import MisconfiguredError

_SMALLEST_SIDE = 32
_MAX_PIXELS = 25_000_000
_LABEL, _LOOKS = 0, 1
"""Separate streams of chance, so that a part's label is known without drawing it."""


@dataclass(frozen=True)
class Part:
    """One drawn part with its truth.

    Attributes:
        label: `good`, or the kind of its defect.
        pixels: What the camera sees.
        mask: `(H, W)`, where it is defective.
    """

    label: str
    pixels: Pixels
    mask: Mask


def labels_of(product: Product) -> tuple[str, ...]:
    """Every label a product's parts can have, `good` first."""
    return (GOOD, *product.defects)


@dataclass(frozen=True)
class Line:
    """Parts of one product, each the same whenever it is asked for.

    Attributes:
        product: What is made.
        seed: Another seed, another line.
        defect_rate: Share of the parts that are defective, 0 to 1.
        size: Height and width of the pictures.
        defect_sizes: Smallest and largest size of a defect, as shares of the picture's shorter side.
        defect_contrasts: Faintest and strongest a defect stands out, 0 to 1.
    """

    product: Product
    seed: int
    defect_rate: float
    size: tuple[int, int]
    defect_sizes: tuple[float, float] = (0.10, 0.24)
    defect_contrasts: tuple[float, float] = (0.75, 1.0)

    def __post_init__(self) -> None:
        """Refuse what nothing can be drawn in, and what no memory holds.

        Raises:
            MisconfiguredError: The pictures are too small or too large.
        """
        if min(self.size) < _SMALLEST_SIDE or self.size[0] * self.size[1] > _MAX_PIXELS:
            raise MisconfiguredError(
                f"parts cannot be drawn {self.size[0]}x{self.size[1]} pixels large",
                where="size",
                remedy=f"take at least {_SMALLEST_SIDE} a side, and at most {_MAX_PIXELS // 1_000_000} million in all",
            )

    def label_of(self, index: int) -> str:
        """The label of a part, without drawing it."""
        rng = self._rng(index, _LABEL)
        if rng.random() >= self.defect_rate:
            return GOOD
        return self.product.defects[int(rng.integers(len(self.product.defects)))]

    def part(self, index: int) -> Part:
        """A part with its truth."""
        return self.part_with(index, self.label_of(index))

    def part_with(self, index: int, label: str) -> Part:
        """The part of an index as it looks with a given label; with another, the same part has another fate.

        Raises:
            MisconfiguredError: The product has no such defect.
        """
        rng = self._rng(index, _LOOKS)
        drawing = self.product.draw(rng, self.size)
        if label == GOOD:
            return Part(label, drawing.pixels, np.zeros(self.size, dtype=np.bool_))
        size, contrast = rng.uniform(*self.defect_sizes), rng.uniform(*self.defect_contrasts)
        return Part(label, *plant(drawing, label, size=size, contrast=contrast, rng=rng))

    def _rng(self, index: int, stream: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, zlib.crc32(self.product.name.encode()), index, stream))
