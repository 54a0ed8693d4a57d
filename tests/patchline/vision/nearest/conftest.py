"""Vectors to search in: without structure, and with the structure of real patches."""

from collections.abc import Callable

import numpy as np
import pytest

Draw = Callable[..., np.ndarray]


@pytest.fixture
def noise() -> Draw:
    def draw(count: int, channels: int, seed: int, offset: float = 0.0) -> np.ndarray:
        return (np.random.default_rng(seed).standard_normal((count, channels)) + offset).astype(np.float32)

    return draw


@pytest.fixture
def patches() -> Draw:
    """Like real patches: groups of them, and ever less variance along ever more axes."""

    def draw(count: int, channels: int, seed: int, offset: float = 0.0) -> np.ndarray:
        shape, rng = np.random.default_rng(7), np.random.default_rng(seed)
        centres = 3 * shape.standard_normal((40, channels))
        scales = 1 / np.sqrt(np.arange(1, channels + 1))
        vectors = (centres[rng.integers(0, 40, count)] + rng.standard_normal((count, channels))) * scales
        return (vectors + offset).astype(np.float32)

    return draw
