"""Whole training pictures: four kinds of scene from fields, masks and light, every one a function of its seed alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from distillation.colours import Light, Pixels, colour, emboss, expose, illuminate, paint
from distillation.fields import Field, Size, any_field, chance, spectral
from distillation.shapes import PRINTS, Mask, leaf, part

RECIPE = "1"
"""Names what this module draws; a change of any drawing raises it, so that caches and cards cannot lie."""


SMALLEST_TEXTURED = 6
"""Pixels of radius below which a leaf has one colour."""


def _weights(rng: np.random.Generator, mask: Mask) -> Field:
    """A mask as paste weights, its edge sometimes soft, itself sometimes see-through."""
    if chance(rng, 0.4):
        mask = mask.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.5, 3))))
    strength = np.float32(1.0 if chance(rng, 0.6) else rng.uniform(0.2, 1.0))
    return np.asarray(np.asarray(mask, np.float32) / 255 * strength, np.float32)


def material(rng: np.random.Generator, size: Size) -> Light:
    """A painted field, in relief now and then; sometimes one plain colour with a breath of grain."""
    if chance(rng, 0.25):
        grain = spectral(rng, size) - np.float32(0.5)
        return np.asarray(np.clip(colour(rng) + grain[..., None] * rng.uniform(0, 0.2), 0, 1), np.float32)
    field = any_field(rng, size)
    light = paint(rng, field)
    return emboss(rng, light, field * 4) if chance(rng, 0.3) else light


def lay(rng: np.random.Generator, ground: Light, mask: Mask, top: Light | NDArray[np.float32]) -> Light:
    """`top` through the mask onto the ground, with a cast shadow or a bevelled rim now and then."""
    weight = _weights(rng, mask)[..., None]
    if chance(rng, 0.3):
        shift = rng.integers(-6, 7, 2)
        shadow = np.roll(np.asarray(mask.filter(ImageFilter.GaussianBlur(4)), np.float32) / 255, shift, (0, 1))
        ground = np.asarray(ground * (1 - shadow[..., None] * np.float32(rng.uniform(0.2, 0.7))), np.float32)
    light = np.asarray(ground * (1 - weight) + top * weight, np.float32)
    if chance(rng, 0.35):
        rim = np.asarray(mask.filter(ImageFilter.GaussianBlur(float(rng.uniform(1, 4)))), np.float32)
        light = emboss(rng, light, np.asarray(rim / 64, np.float32))
    return light


def dead_leaves(rng: np.random.Generator, size: Size) -> Light:
    """Overlapping leaves with a power law of sizes: the statistics of natural pictures (Lee, Mumford, Huang 2001)."""
    light = material(rng, size)
    fills = [material(rng, size) for _ in range(3)]
    count, steep = int(np.exp(rng.uniform(2, 5))), rng.uniform(1.5, 3.5)
    smallest, largest = rng.uniform(2, 8), rng.uniform(30, 110)
    radii = (smallest ** (1 - steep) + rng.random(count) * (largest ** (1 - steep) - smallest ** (1 - steep))) ** (
        1 / (1 - steep)
    )
    for radius in radii:
        mask = Image.new("1", (size[1], size[0]))
        leaf(rng, ImageDraw.Draw(mask), size, float(radius))
        inside = np.asarray(mask)
        fill = fills[rng.integers(3)][inside] if radius > SMALLEST_TEXTURED and chance(rng, 0.4) else colour(rng)
        light[inside] = fill
    return light


def surface(rng: np.random.Generator, size: Size) -> Light:
    """One material from edge to edge, with a print or a flaw or none."""
    light = material(rng, size)
    for _ in range(int(rng.integers(0, 3))):
        light = _printed(rng, light)
    return light


def _printed(rng: np.random.Generator, light: Light) -> Light:
    names = list(PRINTS)
    mask = PRINTS[names[rng.integers(len(names))]](rng, (light.shape[0], light.shape[1]))
    top = colour(rng) if chance(rng, 0.6) else material(rng, (light.shape[0], light.shape[1]))
    return lay(rng, light, mask, top)


def single_part(rng: np.random.Generator, size: Size) -> Light:
    """A part on a plain or textured bed, printed and flawed: what a station sees."""
    light = lay(rng, material(rng, size), part(rng, size), material(rng, size))
    for _ in range(int(rng.integers(0, 5))):
        light = _printed(rng, light)
    return light


def collage(rng: np.random.Generator, size: Size) -> Light:
    """Many prints over each other on one ground: packages, boards, shelves."""
    light = material(rng, size)
    for _ in range(int(rng.integers(3, 9))):
        light = _printed(rng, light)
    return light


SCENES: dict[str, tuple[float, Callable[[np.random.Generator, Size], Light]]] = {
    "dead_leaves": (0.3, dead_leaves),
    "surface": (0.25, surface),
    "single_part": (0.25, single_part),
    "collage": (0.2, collage),
}
"""Name -> (share, drawing)."""


def draw_scene(seed: int, index: int, size: Size) -> Pixels:
    """Picture `index` of the training set of that seed, (H, W, 3) uint8; the same for the same arguments everywhere."""
    rng = np.random.default_rng([seed, index])
    names = list(SCENES)
    shares = np.array([SCENES[name][0] for name in names])
    draw = SCENES[names[rng.choice(len(names), p=shares / shares.sum())]][1]
    light = draw(rng, size)
    return expose(rng, illuminate(rng, light) if chance(rng, 0.6) else light)
