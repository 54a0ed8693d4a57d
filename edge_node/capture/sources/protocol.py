"""What a source of pictures owes the capture loop."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""A picture, (height, width, 3) RGB."""


@dataclass(frozen=True, slots=True)
class Shot:
    """A trigger: a part stands before the camera. Nothing has been exposed yet.

    Attributes:
        part_id: What the plant calls the part; None when nobody told, so that a counter names it.
        open: Exposes and returns the pixels. Raises `UnreadableError` when the picture is damaged and
            `UnavailableError` when the camera or the file is away.
    """

    part_id: str | None
    open: Callable[[], Pixels]


class Source(Protocol):
    """A camera, or whatever stands in for one."""

    def frames(self) -> Iterator[Shot]:
        """Wait for triggers and yield a shot at each, until the source ends or its triggers stop."""
        ...
