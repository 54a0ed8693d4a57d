"""A printed label on a cardboard box."""

from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
from PIL import Image

from patchline.pictures.products.artwork import COLOURED_FIELDS, FIELDS, SHEET, draw_sheet
from patchline.pictures.products.camera import OVERSAMPLING, Exposure, Light, light_of
from patchline.pictures.products.placing import framed, placed
from patchline.pictures.products.protocol import Drawing, Pixels, Plane, Region
from patchline.pictures.products.texture import as_plane, blurred, noise

_CARDBOARD = np.array([0.36, 0.225, 0.120], dtype=np.float32)
_PAPER = np.array([0.80, 0.79, 0.755], dtype=np.float32)
_WIDTH = 0.86
"""Of the label, as a share of the picture's shorter side."""
_COLOURED = 60
"""Difference between the channels, of 255, from which ink counts as coloured."""


@lru_cache(maxsize=32)
def _sheet(width: int, missing: frozenset[str]) -> Image.Image:
    return framed(draw_sheet(missing).resize((width, width * SHEET[1] // SHEET[0]), Image.Resampling.LANCZOS))


@lru_cache(maxsize=8)
def _coloured_ink(name: str) -> Image.Image:
    """Where a field is printed in a colour, white on black, in dots."""
    red, green, blue = (np.asarray(layer).astype(np.int16) for layer in draw_sheet().convert("RGB").split())
    coloured = np.maximum.reduce((red, green, blue)) - np.minimum.reduce((red, green, blue)) > _COLOURED
    ink = Image.new("L", SHEET)
    ink.paste(Image.fromarray((coloured * 255).astype(np.uint8)).crop(FIELDS[name]), FIELDS[name])
    return ink


@dataclass(frozen=True)
class _Scene:
    """One label on one box.

    Attributes:
        centre: Of the label, from the picture's centre, as shares of the shorter side.
        angle: Of the label, in radians.
        density: How dark the printer prints; 1 is nominal.
        seed: Of paper, cardboard and print grain.
        exposure: The shot.
    """

    centre: tuple[float, float]
    angle: float
    density: float
    seed: int
    exposure: Exposure

    def render(self, size: tuple[int, int], missing: frozenset[str] = frozenset()) -> Pixels:
        rng = np.random.default_rng(self.seed)
        large = (size[0] * OVERSAMPLING, size[1] * OVERSAMPLING)
        scale = min(size)
        printed = self._placed(_sheet(round(_WIDTH * min(large)), missing), large).reduce(OVERSAMPLING)
        paper = as_plane(printed.getchannel("A"))
        scene = _cardboard(rng, size, scale)
        scene *= (1 - 0.55 * _shadow(paper, scale))[..., None]
        sheet = self._lit(rng, np.asarray(printed.convert("RGB")), scale)
        scene += (sheet - scene) * paper[..., None]
        return self.exposure.take(scene)

    def field(self, name: str, size: tuple[int, int]) -> Plane:
        """How much of each pixel belongs to a field of the label."""
        form = Image.new("L", SHEET)
        form.paste(255, FIELDS[name])
        return self._shown(form, size)

    def ink(self, name: str, size: tuple[int, int]) -> Plane:
        """How much of each pixel is printed in a colour, within a field of the label."""
        return self._shown(_coloured_ink(name), size)

    def whole(self, size: tuple[int, int]) -> Plane:
        """How much of each pixel belongs to the label."""
        return self._shown(Image.new("L", SHEET, 255), size)

    def _shown(self, form: Image.Image, size: tuple[int, int]) -> Plane:
        width = round(_WIDTH * min(size))
        small = form.resize((width, width * SHEET[1] // SHEET[0]), Image.Resampling.BOX)
        return as_plane(self._placed(framed(small), size))

    def _placed(self, sheet: Image.Image, size: tuple[int, int]) -> Image.Image:
        """The sheet where it was stuck."""
        return placed(sheet, size, self.centre, self.angle)

    def _lit(self, rng: np.random.Generator, printed: Pixels, scale: int) -> Light:
        """Paper and ink under the lamp: fibres, blotchy ink, a slight curl that shades the sheet."""
        size = (printed.shape[0], printed.shape[1])
        blotches = 1 + 0.02 * noise(rng, size, scale / 60) + 0.03 * rng.standard_normal(size, dtype=np.float32)
        thin = (1 - np.float32(self.density) * blotches)[..., None]
        through = light_of(printed)
        sheet = _PAPER * through * (1 + 2 * thin * (1 - through)) + np.float32(0.012)
        fibres = noise(rng, size, (scale / 300, scale / 110)) + noise(rng, size, (scale / 110, scale / 300))
        curl = noise(rng, size, scale / 2.2) + 0.3 * noise(rng, size, scale / 7)
        return np.asarray(sheet * (1 + 0.010 * fibres + 0.025 * curl)[..., None], dtype=np.float32)


def _cardboard(rng: np.random.Generator, size: tuple[int, int], scale: int) -> Light:
    """Kraft liner: flutes that show through, long fibres, dark specks."""
    y = np.arange(size[0], dtype=np.float32)[:, None]
    flutes = np.sin(y * np.float32(2 * np.pi * 26 / scale) + noise(rng, size, scale / 2) * np.float32(0.3))
    fibres = noise(rng, size, (scale / 260, scale / 60)) + noise(rng, size, (scale / 90, scale / 260))
    specks = np.clip(noise(rng, size, scale / 200) - 2.3, 0, 1)
    cloud = noise(rng, size, scale / 5)
    value = 1 + 0.035 * flutes + 0.055 * fibres + 0.03 * cloud - 0.45 * specks
    return np.asarray(value[..., None] * _CARDBOARD, dtype=np.float32)


def _shadow(paper: Plane, scale: int) -> Plane:
    shift = max(1, round(scale * 0.006))
    cast = np.zeros_like(paper)
    cast[shift:, shift:] = paper[:-shift, :-shift]
    return blurred(cast, scale * 0.006, coarse=2)


class Label:
    """A printed label on a cardboard box, under a wide lamp."""

    name = "label"
    defects = ("scratch", "stain", "missing_part", "wrong_colour")

    def draw(self, rng: np.random.Generator, size: tuple[int, int]) -> Drawing:
        """See `Product.draw`."""
        scene = _Scene(
            centre=(rng.normal(0, 0.006), rng.normal(0, 0.006)),
            angle=rng.normal(0, 0.012),
            density=1 + rng.normal(0, 0.025),
            seed=int(rng.integers(2**63)),
            exposure=Exposure.vary(rng),
        )

        def unprinted(name: str, _extent: float, _rng: np.random.Generator) -> Pixels:
            return scene.render(size, frozenset({name}))

        sheet = Region("sheet", frozenset({"scratch", "stain"}), _WIDTH, partial(scene.whole, size))
        regions = [sheet]
        for name, (left, top, right, bottom) in FIELDS.items():
            extent = _WIDTH * max(right - left, bottom - top) / SHEET[0]
            cover, without = partial(scene.field, name, size), partial(unprinted, name)
            regions.append(Region(name, frozenset({"missing_part"}), extent, cover, without, fades=True))
            if name in COLOURED_FIELDS:
                regions.append(Region(name, frozenset({"wrong_colour"}), extent, partial(scene.ink, name, size)))
        return Drawing(scene.render(size), tuple(regions))
