"""A circuit board with its components, on an antistatic mat."""

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from patchline.pictures.products.camera import OVERSAMPLING, Exposure, Light, gathered, light_of
from patchline.pictures.products.circuit import PLAN, Place, bare_board
from patchline.pictures.products.placing import framed, placed
from patchline.pictures.products.protocol import Drawing, Pixels, Plane, Region
from patchline.pictures.products.sprites import BODIES, Sprite, sprite
from patchline.pictures.products.texture import as_plane, blurred, noise, smoothstep

_SIDE = 0.93
"""Of the board, as a share of the picture's shorter side."""
_TALLEST = 0.085
"""Height that 255 stands for, as a share of the picture's shorter side."""
_LAMP = np.array([-0.46, -0.56, 0.69], dtype=np.float32)
_HALF = np.array([-0.25, -0.305, 0.919], dtype=np.float32)
_MAT = np.array([0.050, 0.056, 0.066], dtype=np.float32)
_SHADOW_STEPS = 7


@dataclass(frozen=True)
class _Scene:
    """One board on the mat.

    Attributes:
        centre: From the picture's centre, as shares of the shorter side.
        angle: Of the board, in radians.
        offsets: Where the placer really put each component, in shares of the board's side.
        seed: Of the mat and of the surface's unevenness.
        exposure: The shot.
    """

    centre: tuple[float, float]
    angle: float
    offsets: NDArray[np.float64]
    seed: int
    exposure: Exposure

    def render(self, size: tuple[int, int], missing: str = "") -> Pixels:
        rng = np.random.default_rng(self.seed)
        large = (size[0] * OVERSAMPLING, size[1] * OVERSAMPLING)
        colour, form = self._assembled(round(_SIDE * min(large)), missing)
        seen = self._placed(colour, large)
        board = as_plane(seen.getchannel("A"))
        lit = _lit(rng, np.asarray(seen.convert("RGB")), self._placed(form, large), min(large))
        cover = gathered(board)
        scene = _mat(rng, size, min(size))
        scene *= ((1 - 0.75 * _contact(cover, min(size))) * (1 - cover))[..., None]
        return self.exposure.take(scene + gathered(lit * board[..., None]))

    def _assembled(self, side: int, missing: str) -> tuple[Image.Image, Image.Image]:
        bare = bare_board(side)
        colour, form = bare[0].copy(), bare[1].copy()
        for place in PLAN:
            if place.name == missing:
                continue
            part, corner = self._part(place, side)
            outline = part.colour.getchannel("A")
            colour.paste(part.colour.convert("RGB"), corner, outline)
            form.paste(part.form, corner, outline)
        colour.putalpha(bare[0].getchannel("A"))
        return colour, form

    def _part(self, place: Place, side: int) -> tuple[Sprite, tuple[int, int]]:
        """A component, and its upper left corner on a board of some side."""
        width, height = max(2, round(place.size[0] * side)), max(2, round(place.size[1] * side))
        across, down = self.offsets[PLAN.index(place)]
        corner = (place.centre[0] + across) * side - width / 2, (place.centre[1] + down) * side - height / 2
        part = sprite(place.kind, place.text, (width, height), upright=place.upright)
        return part, (round(corner[0]), round(corner[1]))

    def _placed(self, sheet: Image.Image, size: tuple[int, int]) -> Image.Image:
        """The board's sheet where it lies."""
        return placed(framed(sheet), size, self.centre, self.angle)

    def cover(self, size: tuple[int, int], place: Place | None) -> Plane:
        """How much of each pixel belongs to the body of a component, or to the board."""
        large = (size[0] * OVERSAMPLING, size[1] * OVERSAMPLING)
        side = round(_SIDE * min(large))
        form = bare_board(side)[0].getchannel("A")
        if place is not None:
            form = Image.new("L", (side, side))
            part, (x, y) = self._part(place, side)
            body = Image.new("L", part.colour.size)
            across, down = BODIES.get(place.kind, (0.0, 0.0))[:: -1 if place.upright else 1]
            left, top = round(across * body.width), round(down * body.height)
            inner = (left, top, body.width - left, body.height - top)
            body.paste(part.colour.getchannel("A").crop(inner), inner)
            form.paste(body, (x, y))
        return gathered(as_plane(self._placed(form, large)))


def _lit(rng: np.random.Generator, colour: Pixels, form: Image.Image, scale: int) -> Light:
    """Lacquer, epoxy, tin and steel under one lamp at the upper left and a bright room."""
    size = (colour.shape[0], colour.shape[1])
    raised, gloss, metal = (as_plane(layer) for layer in _smoothed(form, scale))
    height = raised * np.float32(_TALLEST * scale)
    height += np.float32(0.10) * noise(rng, size, scale / 60)
    slope_y, slope_x = np.gradient(height)
    length = 1 / np.sqrt(1 + slope_x * slope_x + slope_y * slope_y)
    towards = np.clip((_LAMP[2] - slope_x * _LAMP[0] - slope_y * _LAMP[1]) * length, 0, 1)
    mirror = np.clip((_HALF[2] - slope_x * _HALF[0] - slope_y * _HALF[1]) * length, 0, 1)
    light = 1 - 0.72 * _shadow(height, scale)
    room = 0.33 + 0.10 * length
    dull = (room + 0.90 * towards * light) * (1 - metal)
    for _ in range(4):
        mirror = mirror * mirror
    bright = (0.20 + 0.32 * length + 1.15 * mirror * light) * metal
    shine = gloss * (1 - metal) * (0.9 * mirror**4 * light + 0.012)
    return np.asarray(light_of(colour) * (dull + bright)[..., None] + (0.5 * shine)[..., None], dtype=np.float32)


def _smoothed(form: Image.Image, scale: int) -> tuple[Image.Image, Image.Image, Image.Image]:
    """Height with rounded edges, gloss, metal."""
    raised, gloss, metal = form.split()
    return raised.filter(ImageFilter.GaussianBlur(scale / 400)), gloss, metal


def _shadow(height: Plane, scale: int) -> Plane:
    """Where something between a point and the lamp is higher than the lamp's ray, softly."""
    blocked = np.zeros_like(height)
    step = max(1, round(_TALLEST * scale * 0.9 / _SHADOW_STEPS))
    for distance in range(step, step * _SHADOW_STEPS + 1, step):
        across = max(1, round(distance * 0.63))
        excess = height[:-distance, :-across] - height[distance:, across:] - np.float32(1.1 * distance)
        np.maximum(blocked[distance:, across:], excess, out=blocked[distance:, across:])
    return blurred(smoothstep(0, scale * 0.012, blocked), scale / 250, coarse=2)


def _contact(cover: Plane, scale: int) -> Plane:
    shift = max(1, round(scale * 0.010))
    cast = cover.copy()
    cast[shift:, shift:] = np.maximum(cover[shift:, shift:], cover[:-shift, :-shift])
    return blurred(cast, scale * 0.010, coarse=2)


def _mat(rng: np.random.Generator, size: tuple[int, int], scale: int) -> Light:
    """A ribbed rubber mat."""
    x = np.arange(size[1], dtype=np.float32)[None, :] + np.arange(size[0], dtype=np.float32)[:, None]
    ribs = np.sin(x * np.float32(2 * np.pi * 48 / scale))
    grain = rng.standard_normal(size, dtype=np.float32)
    value = 1 + 0.10 * ribs + 0.10 * grain + 0.06 * noise(rng, size, scale / 6)
    return np.asarray(np.maximum(value, 0)[..., None] * _MAT, dtype=np.float32)


class Board:
    """A circuit board with its components, on an antistatic mat."""

    name = "board"
    defects = ("missing_part", "wrong_colour", "scratch", "stain", "crack")

    def draw(self, rng: np.random.Generator, size: tuple[int, int]) -> Drawing:
        """See `Product.draw`."""
        scene = _Scene(
            centre=(rng.normal(0, 0.004), rng.normal(0, 0.004)),
            angle=rng.normal(0, 0.006),
            offsets=rng.normal(0, 0.0016, (len(PLAN), 2)),
            seed=int(rng.integers(2**63)),
            exposure=Exposure.vary(rng),
        )

        def unplaced(name: str, _extent: float, _rng: np.random.Generator) -> Pixels:
            return scene.render(size, name)

        surface = frozenset({"scratch", "stain", "crack"})
        regions = [Region("board", surface, _SIDE, partial(scene.cover, size, None))]
        for place in PLAN:
            kinds = {"missing_part", "wrong_colour"} if place.kind in BODIES else {"missing_part"}
            extent = _SIDE * max(place.size)
            cover = partial(scene.cover, size, place)
            regions.append(Region(place.name, frozenset(kinds), extent, cover, partial(unplaced, place.name)))
        return Drawing(scene.render(size), tuple(regions))
