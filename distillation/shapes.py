"""Drawn masks: leaves, parts, prints and flaws, each as a Pillow "L" picture to paste through."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from distillation.fields import Size, chance

Mask = Image.Image
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-/.:%#"


def outline(rng: np.random.Generator, centre: tuple[float, float], radius: float) -> list[tuple[float, float]]:
    """A closed outline around the centre: a regular polygon, a star, a gear, a rectangle or a soft blob."""
    kind = rng.integers(5)
    turn = rng.uniform(0, 2 * np.pi)
    if kind == 3:  # noqa: PLR2004 -- the rectangle
        wide, high = radius, radius * rng.uniform(0.1, 1.0)
        corners = np.array([[-wide, -high], [wide, -high], [wide, high], [-wide, high]])
        turn = turn if chance(rng, 0.5) else np.pi / 2 * rng.integers(2)
        turned = corners @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        return [(float(x + centre[0]), float(y + centre[1])) for x, y in turned]
    count = int(rng.integers(3, 9)) if kind == 0 else 48
    angles = turn + np.linspace(0, 2 * np.pi, count, endpoint=False)
    reach: NDArray[np.floating] = np.ones(count)
    if kind == 1:
        reach = 1 - rng.uniform(0.1, 0.5) * (np.arange(count) % 2)
    if kind == 2:  # noqa: PLR2004 -- the gear
        reach = 1 - rng.uniform(0.05, 0.25) * (np.sin(angles * rng.integers(4, 16)) > 0)
    if kind == 4:  # noqa: PLR2004 -- the blob
        reach = reach + sum(rng.uniform(0, 0.3) * np.sin(k * angles + rng.uniform(0, 7)) for k in (1, 2, 3, 5))
    squash = rng.uniform(0.4, 1.0) if chance(rng, 0.5) else 1.0
    x = centre[0] + radius * reach * np.cos(angles)
    y = centre[1] + radius * squash * reach * np.sin(angles)
    return list(zip(x.tolist(), y.tolist(), strict=True))


def leaf(rng: np.random.Generator, draw: ImageDraw.ImageDraw, size: Size, radius: float) -> None:
    """One filled leaf anywhere: half of them round, the rest of any outline."""
    x, y = rng.uniform(0, size[1]), rng.uniform(0, size[0])
    if chance(rng, 0.4):
        squash = rng.uniform(0.4, 1.0)
        draw.ellipse((x - radius, y - radius * squash, x + radius, y + radius * squash), fill=255)
    else:
        draw.polygon(outline(rng, (x, y), radius), fill=255)


def part(rng: np.random.Generator, size: Size) -> Mask:
    """One large part near the middle, often round, often with concentric rings or holes cut out."""
    mask = Image.new("L", (size[1], size[0]))
    draw = ImageDraw.Draw(mask)
    x, y = size[1] * rng.uniform(0.4, 0.6), size[0] * rng.uniform(0.4, 0.6)
    radius = min(size) * rng.uniform(0.25, 0.5)
    if chance(rng, 0.6):
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    else:
        draw.polygon(outline(rng, (x, y), radius), fill=255)
    if chance(rng, 0.5):
        hole = radius * rng.uniform(0.1, 0.8)
        draw.ellipse((x - hole, y - hole, x + hole, y + hole), fill=0)
    for _ in range(int(rng.integers(0, 7))):
        angle, hole = rng.uniform(0, 2 * np.pi), radius * rng.uniform(0.03, 0.15)
        u, v = x + 0.7 * radius * np.cos(angle), y + 0.7 * radius * np.sin(angle)
        draw.ellipse((u - hole, v - hole, u + hole, v + hole), fill=0)
    return mask


def rings(rng: np.random.Generator, size: Size) -> Mask:
    """Circles around one centre: turned parts, bottle necks, lids, targets."""
    mask = Image.new("L", (size[1], size[0]))
    draw = ImageDraw.Draw(mask)
    x, y = size[1] * rng.uniform(0.3, 0.7), size[0] * rng.uniform(0.3, 0.7)
    for _ in range(int(rng.integers(1, 7))):
        radius = min(size) * rng.uniform(0.05, 0.6)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=255, width=int(rng.integers(1, 14)))
    return mask


def text(rng: np.random.Generator, size: Size) -> Mask:
    """Lines of random characters, turned by a random angle."""
    mask = Image.new("L", (size[1], size[0]))
    draw = ImageDraw.Draw(mask)
    font = ImageFont.load_default(float(np.exp(rng.uniform(2.1, 4.3))))
    for _ in range(int(rng.integers(1, 8))):
        word = "".join(rng.choice(list(LETTERS), int(rng.integers(2, 18))))
        place = (rng.uniform(-0.2, 0.7) * size[1], rng.uniform(0, 0.95) * size[0])
        draw.text(place, word, fill=255, font=font)
    turn = rng.choice([0, 0, 90, 180, 270]) if chance(rng, 0.6) else rng.uniform(0, 360)
    return mask.rotate(float(turn), Image.Resampling.BILINEAR)


def bars(rng: np.random.Generator, size: Size) -> Mask:
    """A bar code, a scale or a row of pins."""
    mask = Image.new("L", (size[1], size[0]))
    draw = ImageDraw.Draw(mask)
    x, limit = rng.uniform(0, 0.5) * size[1], rng.uniform(0.5, 1.0) * size[1]
    top, height = rng.uniform(0, 0.8) * size[0], rng.uniform(0.05, 0.6) * size[0]
    regular, pitch = chance(rng, 0.5), rng.uniform(2, 14)
    while x < limit:
        wide = pitch / 2 if regular else rng.uniform(1, pitch)
        draw.rectangle((x, top, x + wide, top + height), fill=255)
        x += wide + (pitch / 2 if regular else rng.uniform(1, pitch))
    return mask.rotate(float(rng.choice([0.0, 90.0, rng.uniform(0, 360)])), Image.Resampling.BILINEAR)


def strokes(rng: np.random.Generator, size: Size) -> Mask:
    """Scratches, cracks, hairs and cables: random walks with a slowly changing heading."""
    mask = Image.new("L", (size[1], size[0]))
    draw = ImageDraw.Draw(mask)
    wide = int(rng.integers(1, 7))
    for _ in range(int(rng.integers(1, 9))):
        steps, bend = int(rng.integers(2, 40)), rng.choice([0.0, 0.1, 0.6])
        heading = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.standard_normal(steps) * bend)
        reach = np.exp(rng.uniform(0.5, 2.5))
        x = rng.uniform(0, size[1]) + np.cumsum(np.cos(heading)) * reach
        y = rng.uniform(0, size[0]) + np.cumsum(np.sin(heading)) * reach
        draw.line(list(zip(x.tolist(), y.tolist(), strict=True)), fill=255, width=wide, joint="curve")
    return mask


def spots(rng: np.random.Generator, size: Size) -> Mask:
    """Dents, drops, crumbs and pin holes: small leaves, few or many."""
    mask = Image.new("L", (size[1], size[0]))
    draw = ImageDraw.Draw(mask)
    for _ in range(int(np.exp(rng.uniform(0, 4)))):
        leaf(rng, draw, size, float(np.exp(rng.uniform(0.3, 3.0))))
    return mask


PRINTS: dict[str, Callable[[np.random.Generator, Size], Mask]] = {
    "part": part,
    "rings": rings,
    "text": text,
    "bars": bars,
    "strokes": strokes,
    "spots": spots,
}
