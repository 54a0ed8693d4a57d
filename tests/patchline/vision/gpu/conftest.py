"""Feature maps of normal pictures and of others, that differ in how far they are from normal."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

Maps = dict[str, NDArray[np.float32]]


def maps_of(count: int, seed: int, *, spread: float = 1.0, height: int = 12, width: int = 8) -> Maps:
    """Maps of two layers, positive as behind a ReLU; the later the picture, the farther from normal."""
    rng, common = np.random.default_rng(seed), np.random.default_rng(5)
    growth = np.linspace(1, spread, count)[:, None, None, None]
    sizes = {"layer2": (24, height, width), "layer3": (40, height // 2, width // 2)}
    return {
        tap: np.abs(2 * common.standard_normal(size) + growth * rng.standard_normal((count, *size))).astype(np.float32)
        for tap, size in sizes.items()
    }


@pytest.fixture(scope="session")
def draw_maps() -> Callable[..., Any]:
    return maps_of
