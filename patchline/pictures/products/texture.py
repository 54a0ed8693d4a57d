"""Grain, streaks and blotches: smooth random fields from seeded noise."""

import numpy as np
from PIL import Image, ImageFilter

from patchline.pictures.products.protocol import Plane


def as_plane(image: Image.Image) -> Plane:
    """An 8-bit grey image as values from 0 to 1."""
    return np.asarray(image, dtype=np.float32) * np.float32(1 / 255)


def stretched(field: Plane, size: tuple[int, int]) -> Plane:
    """A small field, smoothly enlarged to (height, width)."""
    large = Image.fromarray(field).resize((size[1], size[0]), Image.Resampling.BICUBIC)
    return np.asarray(large, dtype=np.float32)


def noise(rng: np.random.Generator, size: tuple[int, int], cell: float | tuple[float, float]) -> Plane:
    """A smooth random field with mean 0 and a deviation of about 1.

    Args:
        rng: Source of the values.
        size: Height and width.
        cell: Size of its blotches in pixels, or their height and width, which makes streaks.
    """
    down, across = cell if isinstance(cell, tuple) else (cell, cell)
    small = (max(2, round(size[0] / down) + 1), max(2, round(size[1] / across) + 1))
    return stretched(rng.standard_normal(small, dtype=np.float32), size)


def layered(rng: np.random.Generator, size: tuple[int, int], cells: tuple[float, ...]) -> Plane:
    """Noise of several cell sizes on top of each other, each half as strong as the one before."""
    total = np.zeros(size, dtype=np.float32)
    for octave, cell in enumerate(cells):
        total += noise(rng, size, cell) * np.float32(0.5**octave)
    return total


def smoothstep(low: float, high: float, values: Plane) -> Plane:
    """0 below `low`, 1 above `high`, and a soft transition between them."""
    t = np.clip((values - np.float32(low)) / np.float32(high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), dtype=np.float32)


def blurred(field: Plane, radius: float, *, coarse: int = 1) -> Plane:
    """A field with values from 0 to 1, softened by a Gaussian.

    Args:
        field: What to soften.
        radius: Deviation of the Gaussian in pixels.
        coarse: Work at one n-th of the resolution; wide blurs lose nothing by it.
    """
    image = Image.fromarray((np.clip(field, 0, 1) * 255).astype(np.uint8))
    if coarse > 1:
        image = image.reduce(coarse)
    soft = as_plane(image.filter(ImageFilter.GaussianBlur(radius / coarse)))
    return stretched(soft, (field.shape[0], field.shape[1])) if coarse > 1 else soft
