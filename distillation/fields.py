"""Grey fields, the raw stuff of procedural pictures: from a generator and a size, (H, W) in 0..1."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Field = NDArray[np.float32]
Size = tuple[int, int]


def stretch(values: NDArray[np.floating]) -> Field:
    """The values spread over 0..1; a flat field becomes 0.5 everywhere."""
    low, high = float(values.min()), float(values.max())
    if high - low < 1e-9:  # noqa: PLR2004 -- below this a division says nothing
        return np.full(values.shape, 0.5, np.float32)
    return ((values - low) / (high - low)).astype(np.float32)


def chance(rng: np.random.Generator, share: float) -> bool:
    """True in this share of all calls."""
    return bool(rng.random() < share)


def rotated_axes(rng: np.random.Generator, size: Size) -> tuple[Field, Field]:
    """Pixel coordinates (u, v) in a frame turned by a random angle around a random origin."""
    height, width = size
    angle = rng.uniform(0, np.pi)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    rows -= np.float32(rng.uniform(0, height))
    columns -= np.float32(rng.uniform(0, width))
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return cosine * columns + sine * rows, -sine * columns + cosine * rows


def spectral(rng: np.random.Generator, size: Size) -> Field:
    """Noise with a power spectrum f^-beta, stretched along a random direction: clouds, stone, cast metal, grain."""
    height, width = size
    vertical = np.fft.fftfreq(height)[:, None]
    horizontal = np.fft.rfftfreq(width)[None, :]
    angle, squeeze = rng.uniform(0, np.pi), np.exp(rng.uniform(0, 2.3)) if chance(rng, 0.5) else 1.0
    along = np.cos(angle) * horizontal + np.sin(angle) * vertical
    across = (-np.sin(angle) * horizontal + np.cos(angle) * vertical) * squeeze
    radius = np.sqrt(along**2 + across**2) + rng.choice([0.002, 0.01, 0.03])
    phase = np.exp(2j * np.pi * rng.random(radius.shape))
    return stretch(np.fft.irfft2(phase * radius ** -rng.uniform(0.6, 2.4), s=size))


def blotches(rng: np.random.Generator, size: Size) -> Field:
    """A coarse random grid, enlarged smoothly: stains, uneven coating, soft shadows."""
    cells = int(rng.integers(2, 24))
    grid = Image.fromarray(rng.random((cells, cells), dtype=np.float32))
    return stretch(np.asarray(grid.resize((size[1], size[0]), Image.Resampling.BICUBIC)))


def grating(rng: np.random.Generator, size: Size) -> Field:
    """Stripes of a random period and profile, bent by a slow noise: threads, ribs, corrugation, ripples."""
    along, _ = rotated_axes(rng, size)
    bend = blotches(rng, size) * rng.choice([0.0, 1.0, 6.0])
    wave = np.sin(2 * np.pi * along / np.exp(rng.uniform(1.2, 4.0)) + bend)
    return stretch(np.tanh(wave * rng.choice([0.5, 2.0, 12.0])))


def weave(rng: np.random.Generator, size: Size) -> Field:
    """Yarns over and under each other: cloth, wire mesh, carbon fibre."""
    along, across = rotated_axes(rng, size)
    period = np.exp(rng.uniform(1.6, 3.4))
    u, v = along / period, across / (period * rng.uniform(0.7, 1.4))
    step = int(rng.integers(1, 4))
    over = (np.floor(u) + step * np.floor(v)) % (step + 1) < 1
    warp, weft = np.abs(np.sin(np.pi * u)), np.abs(np.sin(np.pi * v))
    return stretch(np.where(over, warp, weft * rng.uniform(0.5, 1.0)))


def brushed(rng: np.random.Generator, size: Size) -> Field:
    """Fine lines along one direction, straight or turned around a centre: milled, ground and lathed surfaces."""
    along, across = rotated_axes(rng, size)
    place = np.hypot(along, across) if chance(rng, 0.5) else along
    scale = np.exp(rng.uniform(-0.5, 1.8))
    line = rng.random(4096, dtype=np.float32)
    index = (np.abs(place) / scale + rng.uniform(0, 1000)).astype(np.int64) % line.size
    return stretch(line[index] + rng.uniform(0, 0.6) * rng.random(size, dtype=np.float32))


def cells(rng: np.random.Generator, size: Size) -> Field:
    """Voronoi cells by their borders, distances or flat tones: grains, leather, foam, cracked glaze."""
    height, width = size
    count = int(np.exp(rng.uniform(1.8, 4.6)))
    seeds = rng.random((count, 2)).astype(np.float32) * (height, width)
    rows, columns = np.mgrid[0:height:2, 0:width:2].astype(np.float32)
    squared = (rows[..., None] - seeds[:, 0]) ** 2 + (columns[..., None] - seeds[:, 1]) ** 2
    nearest = np.argmin(squared, axis=-1)
    two = np.sqrt(np.partition(squared, 1, axis=-1)[..., :2])
    kind = rng.integers(3)
    half = (rng.random(count)[nearest], two[..., 0], np.minimum(two[..., 1] - two[..., 0], rng.uniform(2, 12)))[kind]
    whole = Image.fromarray(half.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR)
    return stretch(np.asarray(whole))


def tiles(rng: np.random.Generator, size: Size) -> Field:
    """A grid of plates, each of its own tone, with joints: bricks, pavements, keyboards, solar cells."""
    along, across = rotated_axes(rng, size)
    period = np.exp(rng.uniform(2.2, 4.4))
    v = across / period
    u = along / (period * rng.uniform(0.6, 2.5)) + 0.5 * rng.integers(2) * (np.floor(v) % 2)
    tone = rng.random((64, 64), dtype=np.float32)[np.floor(u).astype(int) % 64, np.floor(v).astype(int) % 64]
    joint = (np.minimum(u % 1, v % 1) < rng.uniform(0.02, 0.15)).astype(np.float32)
    return stretch(tone * rng.choice([0.0, 0.3, 1.0]) + joint * rng.choice([-1.0, 1.0]))


def speckle(rng: np.random.Generator, size: Size) -> Field:
    """Sparse grains on a plain ground: sand, terrazzo, crumbs, pores."""
    scale = int(rng.integers(1, 5))
    small = rng.random((size[0] // scale + 1, size[1] // scale + 1), dtype=np.float32)
    sparse = np.where(small > rng.uniform(0.7, 0.99), small, 0).astype(np.float32)
    return stretch(np.asarray(Image.fromarray(sparse).resize((size[1], size[0]), Image.Resampling.BICUBIC)))


def knurl(rng: np.random.Generator, size: Size) -> Field:
    """Two gratings crossed: knurled grips, honeycombs, perforated sheet."""
    along, across = rotated_axes(rng, size)
    period = np.exp(rng.uniform(1.6, 3.6))
    both = np.sin(2 * np.pi * along / period) * np.sin(2 * np.pi * across / (period * rng.uniform(0.6, 1.6)))
    return stretch(np.tanh(both * rng.choice([0.7, 3.0, 15.0])))


def ramp(rng: np.random.Generator, size: Size) -> Field:
    """A plain gradient, straight or round: empty backgrounds and smooth metal."""
    along, across = rotated_axes(rng, size)
    return stretch(along if chance(rng, 0.6) else np.hypot(along, across * rng.uniform(0.5, 2.0)))


FIELDS: dict[str, Callable[[np.random.Generator, Size], Field]] = {
    "spectral": spectral,
    "blotches": blotches,
    "grating": grating,
    "weave": weave,
    "brushed": brushed,
    "cells": cells,
    "tiles": tiles,
    "speckle": speckle,
    "knurl": knurl,
    "ramp": ramp,
}


def any_field(rng: np.random.Generator, size: Size) -> Field:
    """One field of any kind, or two of them mixed."""
    names = list(FIELDS)
    first = FIELDS[names[rng.integers(len(names))]](rng, size)
    if chance(rng, 0.5):
        return first
    second = FIELDS[names[rng.integers(len(names))]](rng, size)
    share = np.float32(rng.uniform(0.2, 0.8))
    return stretch(first * second) if chance(rng, 0.4) else stretch(share * first + (1 - share) * second)
