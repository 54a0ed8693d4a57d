"""The kinds of arrays that pass between the rooms, by the names the rest of the code uses for them."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Pixels: TypeAlias = NDArray[np.uint8]
"""A picture, `(H, W, 3)`, RGB; or a batch of them, `(B, H, W, 3)`."""

Floats: TypeAlias = NDArray[np.float32]

FeatureMaps: TypeAlias = dict[str, Floats]
"""Tap name -> `(B, C, h, w)`, in the order in which the taps were asked for."""

Size: TypeAlias = tuple[int, int]
"""`(height, width)`."""

Progress: TypeAlias = Callable[[int, int], None]
"""Called as `on_progress(done, total)` by everything that takes long."""
