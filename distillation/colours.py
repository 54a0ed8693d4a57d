"""From grey fields to coloured pixels: palettes, relief under a lamp, uneven light, and the faults of a camera."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from distillation.fields import Field, Size, blotches, chance, ramp

Pixels = NDArray[np.uint8]
Light = NDArray[np.float32]


def colour(rng: np.random.Generator) -> NDArray[np.float32]:
    """One RGB colour in 0..1: a third grey, a third dull as most of industry is, a third anything."""
    value, kind = rng.random(), rng.random()
    saturation = 0.0 if kind < 1 / 3 else rng.uniform(0.0, 0.35) if kind < 2 / 3 else rng.random()
    hue = np.array([0.0, 1 / 3, 2 / 3]) + rng.random()
    wheel = np.clip(np.abs((hue % 1) * 6 - 3) - 1, 0, 1)
    return np.asarray(value * (1 - saturation * (1 - wheel)), np.float32)


def paint(rng: np.random.Generator, field: Field) -> Light:
    """The field through a palette of two to five colours, (H, W, 3) in 0..1."""
    count = int(rng.integers(2, 6))
    stops = np.sort(np.r_[0.0, rng.random(count - 2), 1.0])
    palette = np.stack([colour(rng) for _ in range(count)])
    if chance(rng, 0.5):  # tones of one material
        palette = palette[0] + (palette - palette[0]) * rng.uniform(0.1, 0.5)
    table = np.stack([np.interp(np.linspace(0, 1, 256), stops, palette[:, c]) for c in range(3)], axis=-1)
    return table.astype(np.float32)[(field * 255).astype(np.uint8)]


def emboss(rng: np.random.Generator, light: Light, height: Field) -> Light:
    """The light on a relief: brightness follows the slope of `height` towards a random lamp."""
    rows, columns = np.gradient(height)
    angle = rng.uniform(0, 2 * np.pi)
    slope = (np.cos(angle) * columns + np.sin(angle) * rows) * np.exp(rng.uniform(0.5, 2.5))
    return np.asarray(np.clip(light * (1 + np.tanh(slope)[..., None] * rng.uniform(0.2, 0.8)), 0, 1), np.float32)


def illuminate(rng: np.random.Generator, light: Light) -> Light:
    """Uneven lighting: a falling ramp, blotches of shadow, sometimes a glare."""
    size: Size = (light.shape[0], light.shape[1])
    lamp = 1 - rng.uniform(0, 0.6) * (ramp(rng, size) if chance(rng, 0.7) else blotches(rng, size))
    light = light * lamp[..., None]
    if chance(rng, 0.2):
        glare = np.clip(1 - ramp(rng, size) * rng.uniform(2, 8), 0, 1)
        light = light + glare[..., None] * rng.uniform(0.2, 0.9)
    return np.asarray(np.clip(light, 0, 1), np.float32)


def expose(rng: np.random.Generator, light: Light) -> Pixels:
    """What a camera makes of the light: gain, gamma, blur, noise and now and then JPEG."""
    if chance(rng, 0.6):  # a set-up station uses the range of its sensor
        low, high = np.percentile(light, (1, 99))
        light = np.clip((light - low) / max(high - low, 0.15), 0, 1)
    light = np.clip(light * rng.uniform(0.7, 1.2) + rng.uniform(-0.1, 0.1), 0, 1) ** np.float32(rng.uniform(0.6, 1.4))
    picture = Image.fromarray((light * 255).astype(np.uint8))
    if chance(rng, 0.35):
        picture = picture.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.3, 1.8))))
    noise = rng.choice([0.0, 0.0, 2.0, 5.0, 12.0])
    if noise:
        grain = rng.standard_normal((light.shape[0], light.shape[1], 1 if chance(rng, 0.5) else 3), dtype=np.float32)
        picture = Image.fromarray(np.clip(np.asarray(picture) + grain * noise, 0, 255).astype(np.uint8))
    if chance(rng, 0.25):
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=int(rng.integers(40, 95)))
        picture = Image.open(buffer)
    return np.asarray(picture.convert("RGB"))
