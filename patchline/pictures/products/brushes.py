"""Defects, painted in light: each brush changes a small window of a scene as strongly as its kind ever gets.

A brush takes the window's light `(h, w, 3)`, the defect's extent in pixels and a random generator, and gives the
changed light. The defect is centred in the window and stays within it. Light comes from the upper left.
"""

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from patchline.pictures.products.camera import Light
from patchline.pictures.products.protocol import Plane
from patchline.pictures.products.texture import as_plane, layered, smoothstep

_FINE = 4
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)
_STAINS = np.array([[0.42, 0.27, 0.13], [0.58, 0.26, 0.08], [0.30, 0.27, 0.24]], dtype=np.float32)
"""What oil, rust and soot let through."""
_PAINTS = np.array(
    [[0.62, 0.06, 0.05], [0.05, 0.16, 0.58], [0.66, 0.50, 0.04], [0.40, 0.05, 0.42], [0.03, 0.42, 0.44]],
    dtype=np.float32,
)
_RESIDUE = np.array([1.0, 0.96, 0.88], dtype=np.float32)
_DARK = 0.11
"""Linear luminance below which a film or a gap shows by what it leaves or breaks, which is pale."""


def scratch(light: Light, extent: float, rng: np.random.Generator) -> Light:
    """One or two thin grooves, pressed harder here than there, with a bright and a shaded flank."""
    height, width = light.shape[:2]
    heading = rng.uniform(0, 2 * np.pi)
    groove = _stroke(light, _arc((width / 2, height / 2), heading, extent, rng), max(1.3, extent * 0.026), rng)
    if rng.random() < 0.4:  # noqa: PLR2004 two scratches in five are double
        start = (width / 2 + rng.uniform(-0.1, 0.1) * extent, height / 2 + rng.uniform(-0.1, 0.1) * extent)
        beside = _arc(start, heading + rng.normal(0, 0.05), extent * 0.6, rng)
        groove = np.maximum(groove, 0.6 * _stroke(light, beside, max(1.0, extent * 0.016), rng))
    flank = np.clip(_moved(groove, 1) - groove, 0, 1)[..., None]
    bright = smoothstep(0.40, 0.56, light @ _LUMINANCE)[..., None]
    dark_mark = light * (1 - 0.70 * groove[..., None]) + 0.08 * flank
    shaded = light * (1 - 0.45 * flank)
    pale_mark = shaded + np.maximum(0.62 + 0.3 * _brightness(light) - shaded, 0) * (0.80 * groove)[..., None]
    return _light(dark_mark * bright + pale_mark * (1 - bright))


def dent(light: Light, extent: float, rng: np.random.Generator) -> Light:
    """A shallow bowl: its near side in shade, its far side catching the lamp, a raised rim around."""
    x, y, distance = _bowl(light, extent, rng, stretch=rng.uniform(0.75, 1.0))
    slope = (x + y) * np.float32(0.7071)
    inside = np.exp(-((1.35 * distance) ** 4))
    rim = np.exp(-(((distance - 0.95) / 0.12) ** 2))
    relief = 3.0 * slope * inside - 0.6 * slope * rim - 0.45 * inside
    lift = 0.10 * np.clip(slope, 0, 1) * inside
    return _light(light * np.exp(np.clip(relief, -2.0, 0.55))[..., None] + lift[..., None])


def stain(light: Light, extent: float, rng: np.random.Generator) -> Light:
    """A dried drop: an uneven film, darkest at its border."""
    _, _, distance = _bowl(light, extent, rng, stretch=rng.uniform(0.7, 1.0), rough=0.20)
    film = 1 - smoothstep(0.86, 1.0, distance)
    border = np.exp(-(((distance - 0.88) / 0.10) ** 2)) * film
    cloud = layered(rng, distance.shape, (extent / 3 + 1, extent / 9 + 1))
    depth = film * np.clip(0.62 + 0.14 * cloud, 0.15, 1) + 0.45 * border
    if _brightness(light) < _DARK:
        return _light(light + (0.14 * depth)[..., None] * _RESIDUE)
    through = _STAINS[rng.integers(len(_STAINS))]
    return _light(light * through ** depth[..., None])


def crack(light: Light, extent: float, rng: np.random.Generator) -> Light:
    """A jagged line that forks, dark where it gapes, with one edge catching the lamp."""
    height, width = light.shape[:2]
    heading = rng.uniform(0, 2 * np.pi)
    trunk = _jagged((width / 2, height / 2), heading, extent, rng)
    gap = _stroke(light, trunk, max(1.4, extent * 0.026), rng)
    for _ in range(int(rng.integers(1, 4))):
        fork = trunk[int(rng.integers(len(trunk) // 4, len(trunk) - 1))]
        aside = heading + rng.choice((-1, 1)) * rng.uniform(0.5, 1.1)
        reach = extent * rng.uniform(0.12, 0.3)
        middle = (fork[0] + np.cos(aside) * reach / 2, fork[1] + np.sin(aside) * reach / 2)
        gap = np.maximum(gap, 0.8 * _stroke(light, _jagged(middle, aside, reach, rng), max(1.0, extent * 0.016), rng))
    lit = np.clip(_moved(gap, 1) - gap, 0, 1)
    if _brightness(light) < _DARK:
        return _light(light + (0.40 * gap + 0.10 * lit)[..., None])
    return _light(light * (1 - 0.93 * gap)[..., None] * (1 + 0.5 * lit)[..., None])


def recoloured(light: Light, extent: float, rng: np.random.Generator) -> Light:
    """The whole window in another colour, as bright as before and at least bright enough to have a colour."""
    del extent
    own = light.mean(axis=(0, 1))
    own = own / max(float(own @ _LUMINANCE), 1e-6)
    tints = _PAINTS / (_PAINTS @ _LUMINANCE)[:, None]
    far = np.argsort(np.abs(tints - own).sum(axis=1))[-3:]
    level = 0.25 + 1.5 * (light @ _LUMINANCE)
    return _light(level[..., None] * _PAINTS[rng.choice(far)])


def wrong_colour(light: Light, extent: float, rng: np.random.Generator) -> Light:
    """A sharply bounded patch in another colour."""
    _, _, distance = _bowl(light, extent, rng, stretch=rng.uniform(0.6, 1.0), rough=0.15)
    patch = 1 - smoothstep(0.94, 1.0, distance)
    return _light(light + (recoloured(light, extent, rng) - light) * patch[..., None])


def missing_part(light: Light, extent: float, rng: np.random.Generator) -> Light:
    """The window's middle as if what lies there were gone: its surroundings run on across it, with their grain."""
    height, width = light.shape[:2]
    t = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    s = np.linspace(0, 1, width, dtype=np.float32)[None, :, None]
    across = light[:, :2].mean(axis=1, keepdims=True) * (1 - s) + light[:, -2:].mean(axis=1, keepdims=True) * s
    down = light[:2].mean(axis=0, keepdims=True) * (1 - t) + light[-2:].mean(axis=0, keepdims=True) * t
    # The median tells the grain apart from the edges that the window's border may cross.
    rough = np.float32(np.median(np.abs(np.diff(light[:2], axis=1))))
    grain = rough * rng.standard_normal((height, width, 1), dtype=np.float32)
    _, _, distance = _bowl(light, extent, rng, stretch=1.0, rough=0.05)
    hole = (1 - smoothstep(0.92, 1.0, distance))[..., None]
    return _light(light + ((across + down) / 2 + grain - light) * hole)


def _light(values: NDArray[np.floating[Any]]) -> Light:
    return np.asarray(values, dtype=np.float32)


def _brightness(light: Light) -> float:
    height, width = light.shape[:2]
    middle = light[height // 4 : -(height // 4) or None, width // 4 : -(width // 4) or None]
    return float((middle @ _LUMINANCE).mean())


def _bowl(
    light: Light, extent: float, rng: np.random.Generator, *, stretch: float, rough: float = 0.10
) -> tuple[Plane, Plane, Plane]:
    """Coordinates from the window's middle in units of the defect's radius, and the distance to it, made uneven."""
    size = (light.shape[0], light.shape[1])
    radius = np.float32(max(extent / 2, 1.0))
    y = (np.arange(size[0], dtype=np.float32)[:, None] - np.float32(size[0] - 1) / 2) / radius
    x = (np.arange(size[1], dtype=np.float32)[None, :] - np.float32(size[1] - 1) / 2) / radius
    turn = rng.uniform(0, np.pi)
    along = x * np.float32(np.cos(turn)) + y * np.float32(np.sin(turn))
    across = (y * np.float32(np.cos(turn)) - x * np.float32(np.sin(turn))) / np.float32(stretch)
    uneven = 1 + rough * layered(rng, size, (float(radius) * 0.9 + 1, float(radius) * 0.35 + 1))
    distance = np.sqrt(along * along + across * across) / np.clip(uneven, 0.6, 1.0)
    return x, y, np.asarray(distance, dtype=np.float32)


def _arc(
    middle: tuple[float, float], heading: float, length: float, rng: np.random.Generator
) -> list[tuple[float, float]]:
    """A gently bent path through a point."""
    bend = rng.normal(0, 0.5)
    steps = np.linspace(-0.5, 0.5, 40)
    angles = heading + bend * steps + np.cumsum(rng.normal(0, 0.012, 40))
    return _centred(np.cumsum(np.stack((np.cos(angles), np.sin(angles)), axis=1), axis=0) * length / 40, middle)


def _jagged(
    middle: tuple[float, float], heading: float, length: float, rng: np.random.Generator
) -> list[tuple[float, float]]:
    """A path through a point that changes its mind at every step."""
    count = 14
    angles = heading + rng.normal(0, 0.55, count)
    steps: NDArray[np.float64] = np.stack((np.cos(angles), np.sin(angles)), axis=1) * rng.uniform(0.5, 1.5, (count, 1))
    return _centred(np.cumsum(steps, axis=0) * length / count, middle)


def _centred(path: NDArray[np.float64], middle: tuple[float, float]) -> list[tuple[float, float]]:
    placed = path - (path.max(axis=0) + path.min(axis=0)) / 2 + np.asarray(middle)
    return [(float(x), float(y)) for x, y in placed]


def _stroke(light: Light, path: list[tuple[float, float]], width: float, rng: np.random.Generator) -> Plane:
    """A line of changing pressure, thin at its ends: how much of each pixel it covers."""
    sheet = Image.new("L", (light.shape[1] * _FINE, light.shape[0] * _FINE), 0)
    pen = ImageDraw.Draw(sheet)
    count = len(path) - 1
    pressure = np.interp(np.arange(count), np.linspace(0, count, 7), rng.uniform(0.45, 1.0, 7))
    taper = np.sin(np.pi * (np.arange(count) + 1) / (count + 1)) ** 0.5
    for (a, b), weight in zip(pairwise(path), pressure * taper, strict=True):
        ends = (a[0] * _FINE, a[1] * _FINE, b[0] * _FINE, b[1] * _FINE)
        pen.line(ends, fill=int(255 * min(1.0, 0.55 + 0.45 * weight)), width=max(2, round(width * weight * _FINE)))
    return as_plane(sheet.reduce(_FINE))


def _moved(field: Plane, pixels: int) -> Plane:
    """The same field, shifted away from the lamp."""
    shifted = np.zeros_like(field)
    shifted[pixels:, pixels:] = field[:-pixels, :-pixels]
    return shifted
