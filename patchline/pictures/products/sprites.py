"""Electronic components seen from above, each with its colours, its heights and how it shines."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

FINE = 4
"""Components are drawn at this many times the resolution they are used in."""

EPOXY, SOLDER, STEEL, GOLD = (24, 24, 27), (176, 178, 182), (196, 198, 202), (201, 160, 78)
_MARKING = (150, 152, 154)

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Matter:
    """How a surface stands and shines, each 0 to 255.

    Attributes:
        height: Above the board; 255 is the tallest component.
        gloss: Of plastic and lacquer.
        metal: 255 where light is mirrored in the surface's own colour.
    """

    height: int
    gloss: int = 60
    metal: int = 0


@dataclass(frozen=True)
class Sprite:
    """A component ready to be placed.

    Attributes:
        colour: RGBA; transparent where the board shows.
        form: RGB of height, gloss and metal.
    """

    colour: Image.Image
    form: Image.Image


class Pad:
    """A sheet to draw a component on, in its own units: 0 to 1 along both of its sides."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size
        self.colour = Image.new("RGBA", size)
        self.form = Image.new("RGB", size)
        self._colour_pen, self._form_pen = ImageDraw.Draw(self.colour), ImageDraw.Draw(self.form)

    def _pixels(self, box: Box) -> Box:
        width, height = self.size
        return box[0] * width, box[1] * height, box[2] * width - 1, box[3] * height - 1

    def block(self, box: Box, colour: tuple[int, int, int], matter: Matter, *, corner: float = 0.0) -> None:
        """A rectangle, its corners rounded by a share of the sheet's shorter side."""
        radius = corner * min(self.size)
        self._colour_pen.rounded_rectangle(self._pixels(box), radius, fill=(*colour, 255))
        self._form_pen.rounded_rectangle(self._pixels(box), radius, fill=(matter.height, matter.gloss, matter.metal))

    def disc(self, box: Box, colour: tuple[int, int, int], matter: Matter) -> None:
        """An ellipse."""
        self._colour_pen.ellipse(self._pixels(box), fill=(*colour, 255))
        self._form_pen.ellipse(self._pixels(box), fill=(matter.height, matter.gloss, matter.metal))

    def segment(self, box: Box, angles: tuple[float, float], colour: tuple[int, int, int], matter: Matter) -> None:
        """The part of an ellipse beyond a chord, between two angles in degrees."""
        self._colour_pen.chord(self._pixels(box), *angles, fill=(*colour, 255))
        self._form_pen.chord(self._pixels(box), *angles, fill=(matter.height, matter.gloss, matter.metal))

    def text(self, centre: tuple[float, float], text: str, height: float, colour: tuple[int, int, int]) -> None:
        """Marking; it changes the colour only. The height is a share of the sheet's height."""
        font = ImageFont.load_default(size=max(6, round(height * self.size[1])))
        place = (centre[0] * self.size[0], centre[1] * self.size[1])
        self._colour_pen.text(place, text, fill=(*colour, 255), font=font, anchor="mm", stroke_width=0.4)


def _chip(pad: Pad, body: tuple[int, int, int], height: int, text: str) -> None:
    for left, right in ((0.0, 0.32), (0.68, 1.0)):
        pad.block((left, 0.06, right, 0.94), SOLDER, Matter(height // 3, 90, 255), corner=0.2)
    for left, right in ((0.12, 0.34), (0.66, 0.88)):
        pad.block((left, 0.10, right, 0.90), STEEL, Matter(height, 90, 255), corner=0.06)
    pad.block((0.26, 0.08, 0.74, 0.92), body, Matter(height + 6, 70), corner=0.05)
    if text:
        pad.text((0.5, 0.5), text, 0.42, (196, 196, 192))


def _resistor(pad: Pad, text: str) -> None:
    _chip(pad, EPOXY, 34, text)


def _capacitor(pad: Pad, _text: str) -> None:
    _chip(pad, (150, 112, 74), 62, "")


def _tantalum(pad: Pad, text: str) -> None:
    _chip(pad, (206, 150, 34), 92, "")
    pad.block((0.27, 0.09, 0.36, 0.91), (112, 60, 22), Matter(98, 70))
    pad.text((0.56, 0.5), text, 0.34, (70, 44, 14))


def _diode(pad: Pad, _text: str) -> None:
    _chip(pad, (226, 224, 214), 50, "")
    pad.disc((0.34, 0.18, 0.66, 0.82), (238, 222, 128), Matter(66, 220))


def _pins(pad: Pad, count: int, sides: str, reach: float, body: tuple[float, float]) -> None:
    step = (body[1] - body[0]) / count
    for pin in range(count):
        a, b = body[0] + (pin + 0.26) * step, body[0] + (pin + 0.74) * step
        boxes = {
            "l": (0.0, a, reach, b),
            "r": (1 - reach, a, 1.0, b),
            "t": (a, 0.0, b, reach),
            "b": (a, 1 - reach, b, 1.0),
        }
        for side in sides:
            pad.block(boxes[side], SOLDER, Matter(20, 90, 255))


def _small_outline(pad: Pad, text: str) -> None:
    _pins(pad, 7, "tb", 0.24, (0.04, 0.96))
    pad.block((0.0, 0.17, 1.0, 0.83), EPOXY, Matter(84, 46), corner=0.02)
    pad.disc((0.04, 0.62, 0.13, 0.76), (14, 14, 16), Matter(74, 90))
    pad.text((0.54, 0.41), text, 0.19, _MARKING)
    pad.text((0.54, 0.61), "2611 K", 0.13, _MARKING)


def _quad_flat(pad: Pad, text: str) -> None:
    _pins(pad, 11, "lrtb", 0.14, (0.12, 0.88))
    pad.block((0.085, 0.085, 0.915, 0.915), EPOXY, Matter(78, 40), corner=0.03)
    pad.disc((0.14, 0.14, 0.22, 0.22), (12, 12, 14), Matter(68, 90))
    pad.text((0.5, 0.38), text, 0.12, _MARKING)
    pad.text((0.5, 0.52), "32-bit  48 MHz", 0.075, _MARKING)
    pad.text((0.5, 0.66), "TW 2611 A", 0.075, _MARKING)


def _electrolytic(pad: Pad, text: str) -> None:
    pad.block((0.0, 0.0, 1.0, 1.0), (30, 30, 32), Matter(40, 50), corner=0.12)
    pad.disc((0.03, 0.03, 0.97, 0.97), (158, 160, 164), Matter(222, 60, 255))
    pad.disc((0.075, 0.075, 0.925, 0.925), (206, 208, 211), Matter(236, 60, 200))
    pad.segment((0.075, 0.075, 0.925, 0.925), (130.0, 230.0), (34, 34, 38), Matter(236, 60))
    pad.text((0.60, 0.38), text, 0.17, (52, 52, 56))
    pad.text((0.60, 0.60), "16V", 0.17, (52, 52, 56))


def _crystal(pad: Pad, text: str) -> None:
    pad.block((0.0, 0.0, 1.0, 1.0), (150, 152, 156), Matter(50, 60, 255), corner=0.46)
    pad.block((0.04, 0.09, 0.96, 0.91), (204, 206, 209), Matter(140, 60, 255), corner=0.40)
    pad.text((0.5, 0.5), text, 0.34, (96, 98, 102))


def _header(pad: Pad, text: str) -> None:
    count = int(text)
    for pin in range(count):
        left, right = pin / count, (pin + 1) / count
        pad.block((left, 0.04, right, 0.96), (28, 28, 30), Matter(120, 50), corner=0.16)
        middle = (left + right) / 2
        pad.block((middle - 0.16 / count, 0.32, middle + 0.16 / count, 0.68), GOLD, Matter(206, 90, 255))


def _socket(pad: Pad, _text: str) -> None:
    pad.block((0.0, 0.0, 1.0, 1.0), (186, 188, 191), Matter(150, 60, 255), corner=0.08)
    for left in (0.20, 0.62):
        pad.block((left, 0.20, left + 0.18, 0.44), (60, 61, 64), Matter(120, 40, 120))
    pad.block((0.0, 0.90, 1.0, 1.0), (110, 112, 116), Matter(140, 60, 255))


_KINDS: dict[str, Callable[[Pad, str], None]] = {
    "resistor": _resistor,
    "capacitor": _capacitor,
    "tantalum": _tantalum,
    "diode": _diode,
    "small_outline": _small_outline,
    "quad_flat": _quad_flat,
    "electrolytic": _electrolytic,
    "crystal": _crystal,
    "header": _header,
    "socket": _socket,
}


BODIES: dict[str, tuple[float, float]] = {
    "resistor": (0.26, 0.08),
    "capacitor": (0.26, 0.08),
    "tantalum": (0.26, 0.08),
    "electrolytic": (0.04, 0.04),
    "small_outline": (0.0, 0.17),
    "crystal": (0.03, 0.05),
}
"""Kind of component that exists in other colours -> where its body begins, in shares of its width and height."""


@lru_cache(maxsize=256)
def sprite(kind: str, text: str, size: tuple[int, int], *, upright: bool) -> Sprite:
    """A component of some width and height in pixels; upright ones are turned by a quarter, anticlockwise."""
    drawn = (size[1], size[0]) if upright else size
    pad = Pad((drawn[0] * FINE, drawn[1] * FINE))
    _KINDS[kind](pad, text)
    # Colours run on under the transparent surroundings, so that reducing does not darken the component's outline.
    colour = pad.colour.convert("RGBa").resize(drawn, Image.Resampling.BOX).convert("RGBA")
    form = pad.form.resize(drawn, Image.Resampling.BOX)
    if upright:
        colour, form = colour.transpose(Image.Transpose.ROTATE_90), form.transpose(Image.Transpose.ROTATE_90)
    return Sprite(colour, form)
