"""What a drawn product is: a part that can be drawn again and again, and places on it where it can be defective."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""One picture: `(H, W, 3)`, RGB."""

Plane = NDArray[np.float32]
"""One value a pixel: `(H, W)`."""


@dataclass(frozen=True)
class Region:
    """A place on a part that can carry defects of some kinds.

    Attributes:
        name: What lies there, such as `rim` or `R3`.
        defects: The kinds of defects that make sense there.
        extent: Longest side, as a share of the picture's shorter side.
        coverage: How much of each pixel belongs to the region, 0 to 1; drawn when asked for.
        without: The same picture with the part gone (or a piece of the given extent broken out of it, where the part
            is the whole product); None where nothing can be missing.
        fades: Whether it can be missing by half, as print can; a solid part is there or not.
    """

    name: str
    defects: frozenset[str]
    extent: float
    coverage: Callable[[], Plane]
    without: Callable[[float, np.random.Generator], Pixels] | None = None
    fades: bool = False


@dataclass(frozen=True)
class Drawing:
    """One drawn part: what the camera sees, and where it may be damaged."""

    pixels: Pixels
    regions: tuple[Region, ...]


class Product(Protocol):
    """A kind of part.

    Attributes:
        name: Key of the registry.
        defects: The kinds of defects it can have, of `plant.DEFECTS`.
    """

    @property
    def name(self) -> str:
        """Such as `washer`."""
        ...

    @property
    def defects(self) -> tuple[str, ...]:
        """Such as `scratch` and `dent`."""
        ...

    def draw(self, rng: np.random.Generator, size: tuple[int, int]) -> Drawing:
        """One normal part as the station's camera sees it; no two are alike.

        Args:
            rng: Where all variation comes from: position, rotation, light, texture, sensor noise.
            size: Height and width of the picture, 64 or more.
        """
        ...
