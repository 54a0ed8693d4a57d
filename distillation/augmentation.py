"""Training crops: another scale, turn, colour and neighbour each time a picture of the pool is shown."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from distillation.fields import chance

Pixels = NDArray[np.uint8]


def crop(rng: np.random.Generator, picture: Pixels, side: int) -> Pixels:
    """A random window of 30 to 100 % of the picture's side, a little stretched, resized to (side, side) and turned."""
    whole = picture.shape[0]
    window = whole * rng.uniform(0.3, 1.0)
    high, wide = np.minimum(window * np.exp(rng.uniform(-0.2, 0.2, 2)), whole)
    top, left = rng.uniform(0, whole - high), rng.uniform(0, whole - wide)
    filters = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC)
    resized = Image.fromarray(np.ascontiguousarray(picture)).resize(
        (side, side), filters[rng.integers(2)], box=(left, top, left + wide, top + high)
    )
    turned = np.rot90(np.asarray(resized), int(rng.integers(4)))
    return np.asarray(turned[:, ::-1] if chance(rng, 0.5) else turned)


def paste(rng: np.random.Generator, ground: Pixels, other: Pixels) -> Pixels:
    """A rectangle of the other picture put into the ground, opaque or as a veil: edges no scene has."""
    side = ground.shape[0]
    high, wide = rng.integers(side // 8, side, 2)
    top, left = rng.integers(0, side - high + 1), rng.integers(0, side - wide + 1)
    place = (slice(top, top + high), slice(left, left + wide))
    mixed = ground.astype(np.float32)
    share = 1.0 if chance(rng, 0.6) else rng.uniform(0.2, 0.8)
    mixed[place] += share * (other[place].astype(np.float32) - mixed[place])
    return mixed.astype(np.uint8)


def recolour(rng: np.random.Generator, pixels: Pixels) -> Pixels:
    """Other exposure, tint, gamma and noise; a fifth of the pictures grey, some with exchanged or inverted channels."""
    values = np.arange(256, dtype=np.float32) / 255
    if chance(rng, 0.2):
        pixels = np.repeat(np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).convert("L"))[..., None], 3, axis=2)
    elif chance(rng, 0.4):
        pixels = pixels[..., rng.permutation(3)]
    if chance(rng, 0.1):
        values = 1 - values
    gamma, gain, shift = np.exp(rng.uniform(-0.5, 0.5)), rng.uniform(0.6, 1.3), rng.uniform(-0.15, 0.2)
    tint = np.exp(rng.uniform(-0.15, 0.15, 3)) if chance(rng, 0.5) else np.ones(3)
    curves = np.clip(values[:, None] ** gamma * gain * tint + shift, 0, 1).astype(np.float32)
    light = np.stack([curves[pixels[..., c], c] for c in range(3)], axis=-1) * 255
    if chance(rng, 0.25):
        light += rng.standard_normal(light.shape, dtype=np.float32) * np.float32(rng.uniform(1, 10))
    return np.asarray(np.clip(light, 0, 255).astype(np.uint8))


def training_crop(rng: np.random.Generator, pool: NDArray[np.uint8], side: int) -> Pixels:
    """One augmented crop (side, side, 3) of the pool."""
    pixels = crop(rng, pool[rng.integers(len(pool))], side)
    if chance(rng, 0.35):
        pixels = paste(rng, pixels, crop(rng, pool[rng.integers(len(pool))], side))
    return recolour(rng, pixels)
