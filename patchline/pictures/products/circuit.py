"""The bare board and its plan: outline, traces, pads, vias, silk screen, and where each component sits."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_MASK, _COPPER, _SILK, _TINNED, _HOLE = (16, 74, 44), (30, 104, 60), (222, 226, 218), (188, 178, 140), (20, 22, 22)
_FINE = 3


@dataclass(frozen=True)
class Place:
    """A component of the plan; centre and size in shares of the board's side."""

    name: str
    kind: str
    text: str
    centre: tuple[float, float]
    size: tuple[float, float]
    upright: bool = False


PLAN: tuple[Place, ...] = (
    Place("J1", "header", "8", (0.50, 0.085), (0.44, 0.062)),
    Place("J2", "socket", "", (0.46, 0.925), (0.20, 0.15)),
    Place("U1", "quad_flat", "PL32-C8", (0.43, 0.46), (0.285, 0.285)),
    Place("U2", "small_outline", "PL 485E", (0.80, 0.36), (0.20, 0.155)),
    Place("U3", "small_outline", "LDO 33", (0.17, 0.80), (0.165, 0.125)),
    Place("C1", "electrolytic", "220", (0.815, 0.655), (0.185, 0.185)),
    Place("Y1", "crystal", "12.000", (0.43, 0.715), (0.21, 0.085)),
    Place("C9", "tantalum", "107", (0.70, 0.865), (0.145, 0.085)),
    Place("D1", "diode", "", (0.885, 0.865), (0.085, 0.048)),
    *(Place(f"R{n + 1}", "resistor", "103", (0.145, 0.255 + 0.072 * n), (0.088, 0.046)) for n in range(6)),
    Place("R7", "resistor", "221", (0.885, 0.790), (0.085, 0.046)),
    *(Place(f"C{n + 2}", "capacitor", "", (0.285 + 0.078 * n, 0.225), (0.042, 0.078), upright=True) for n in range(4)),
    Place("C6", "capacitor", "", (0.655, 0.545), (0.042, 0.078), upright=True),
    Place("C7", "capacitor", "", (0.655, 0.640), (0.042, 0.078), upright=True),
    Place("R8", "resistor", "472", (0.725, 0.205), (0.088, 0.046)),
    Place("R9", "resistor", "472", (0.845, 0.205), (0.088, 0.046)),
    Place("C8", "capacitor", "", (0.265, 0.905), (0.078, 0.042)),
)


def _row(count: int, first: float, last: float) -> list[tuple[float, float]]:
    step = (last - first) / count
    return [(first + (pin + 0.22) * step, first + (pin + 0.78) * step) for pin in range(count)]


_SIDES = ((0.0, 0.14), (0.86, 1.0))
_NAMED_BESIDE = frozenset({"R1", "R2", "R3", "R4", "R5", "R6", "R7", "C6", "C7", "C8"})
_FEET: dict[str, list[tuple[tuple[float, float], tuple[float, float]]]] = {
    "small_outline": [(pin, side) for pin in _row(7, 0.04, 0.96) for side in _SIDES],
    "quad_flat": [
        pads
        for pin in _row(11, 0.12, 0.88)
        for side in ((0.0, 0.10), (0.90, 1.0))
        for pads in ((pin, side), (side, pin))
    ],
    "crystal": [(pin, (0.38, 0.62)) for pin in ((0.10, 0.26), (0.74, 0.90))],
    "electrolytic": [((0.38, 0.62), pin) for pin in ((0.02, 0.34), (0.66, 0.98))],
    "header": [(pin, (0.30, 0.70)) for pin in _row(8, 0.0, 1.0)],
    "socket": [(pin, (0.04, 0.16)) for pin in _row(4, 0.2, 0.8)],
}
"""Kind of component -> spans of its pads along its width and its height, as shares of both."""

HOLES = ((0.065, 0.065), (0.935, 0.065), (0.065, 0.935), (0.935, 0.935))


class _Copper:
    """Draws the bare board's colours and its form (height, gloss, metal) side by side."""

    def __init__(self, side: int) -> None:
        self.side = side
        self.colour = Image.new("RGB", (side, side), _MASK)
        self.form = Image.new("RGB", (side, side), (2, 90, 0))
        self.pens = ImageDraw.Draw(self.colour), ImageDraw.Draw(self.form)

    def trace(self, points: list[tuple[float, float]], width: float) -> None:
        path = [(x * self.side, y * self.side) for x, y in points]
        for pen, ink in zip(self.pens, (_COPPER, (5, 90, 0)), strict=True):
            pen.line(path, fill=ink, width=max(1, round(width * self.side)), joint="curve")

    def ring(self, centre: tuple[float, float], outer: float, inner: float) -> None:
        x, y = centre[0] * self.side, centre[1] * self.side
        rings = ((outer, _TINNED, (6, 90, 230)), (inner, _HOLE, (0, 0, 0)))
        for radius, ink, matter in rings:
            r = radius * self.side
            self.pens[0].ellipse((x - r, y - r, x + r, y + r), fill=ink)
            self.pens[1].ellipse((x - r, y - r, x + r, y + r), fill=matter)

    def pad(self, box: tuple[float, float, float, float]) -> None:
        edges = tuple(value * self.side for value in box)
        self.pens[0].rounded_rectangle(edges, 0.006 * self.side, fill=_TINNED)
        self.pens[1].rounded_rectangle(edges, 0.006 * self.side, fill=(7, 90, 235))

    def silk(self, place: tuple[float, float], text: str, height: float) -> None:
        font = ImageFont.load_default(size=max(6, round(height * self.side)))
        spot = (place[0] * self.side, place[1] * self.side)
        self.pens[0].text(spot, text, fill=_SILK, font=font, anchor="mm", stroke_width=self.side / 3000)

    def outline(self, box: tuple[float, float, float, float]) -> None:
        edges = tuple(value * self.side for value in box)
        self.pens[0].rectangle(edges, outline=_SILK, width=max(1, round(0.0032 * self.side)))


def _bus(copper: _Copper, rng: np.random.Generator) -> None:
    """Traces from the processor to its neighbours, each with one bend of 45 degrees at its ends, as routers do it."""
    ends: list[tuple[tuple[float, float], tuple[float, float]]] = []
    ends += [((0.32 + 0.021 * n, 0.33), (0.30 + 0.050 * n, 0.11)) for n in range(8)]
    ends += [((0.575, 0.36 + 0.021 * n), (0.73 + 0.022 * n, 0.44)) for n in range(6)]
    ends += [((0.29, 0.37 + 0.030 * n), (0.19, 0.255 + 0.072 * n)) for n in range(6)]
    ends += [((0.35 + 0.022 * n, 0.60), (0.38 + 0.022 * n, 0.86)) for n in range(6)]
    for (x0, y0), (x1, y1) in ends:
        upright = abs(y1 - y0) > abs(x1 - x0)
        turn = min(abs(x1 - x0), abs(y1 - y0))
        share = rng.uniform(0.35, 0.65)
        if upright:
            bend = y0 + np.sign(y1 - y0) * (abs(y1 - y0) - turn) * share
            path = [(x0, y0), (x0, bend), (x1, bend + np.sign(y1 - y0) * turn), (x1, y1)]
        else:
            bend = x0 + np.sign(x1 - x0) * (abs(x1 - x0) - turn) * share
            path = [(x0, y0), (bend, y0), (bend + np.sign(x1 - x0) * turn, y1), (x1, y1)]
        copper.trace([(float(x), float(y)) for x, y in path], 0.0062)


def _supply(copper: _Copper) -> None:
    """Wide traces of the supply, and vias sewn along the ground."""
    copper.trace([(0.15, 0.68), (0.15, 0.74), (0.30, 0.80), (0.62, 0.80), (0.66, 0.865)], 0.030)
    copper.trace([(0.655, 0.50), (0.655, 0.70), (0.72, 0.76), (0.885, 0.76), (0.885, 0.87)], 0.022)
    copper.trace([(0.70, 0.205), (0.90, 0.205), (0.93, 0.25), (0.93, 0.55)], 0.016)
    copper.trace([(0.055, 0.15), (0.055, 0.86)], 0.020)
    vias = [(0.055, 0.16 + 0.065 * n) for n in range(11)] + [(0.945, 0.16 + 0.09 * n) for n in range(5)]
    vias += [(0.60, 0.30), (0.62, 0.47), (0.235, 0.65), (0.26, 0.755), (0.585, 0.775), (0.31, 0.28), (0.60, 0.70)]
    vias += [(0.22, 0.12), (0.78, 0.12), (0.66, 0.28), (0.94, 0.60), (0.72, 0.555), (0.70, 0.745)]
    for via in vias:
        copper.ring(via, 0.0095, 0.0045)


def _feet(copper: _Copper, place: Place) -> None:
    """Pads under a component with many pins, in one row on two of its sides or on all four."""
    (x, y), (w, h) = place.centre, place.size
    for along, across in _FEET.get(place.kind, ()):
        copper.pad(
            (x + (along[0] - 0.5) * w, y + (across[0] - 0.5) * h, x + (along[1] - 0.5) * w, y + (across[1] - 0.5) * h)
        )


def _marks(copper: _Copper) -> None:
    """Footprints: what shows where a component is missing, and the silk screen around it."""
    for place in PLAN:
        (x, y), (w, h) = place.centre, place.size
        if place.kind in {"resistor", "capacitor", "tantalum", "diode"}:
            long, short = (h / 2, w * 0.46) if place.upright else (w / 2, h * 0.46)
            for end in (-1, 1):
                near, far = sorted((end * 0.36 * long, end * long))
                box = (
                    (x - short, y + near, x + short, y + far)
                    if place.upright
                    else (x + near, y - short, x + far, y + short)
                )
                copper.pad(box)
        else:
            _feet(copper, place)
            copper.outline((x - w / 2 - 0.008, y - h / 2 - 0.008, x + w / 2 + 0.008, y + h / 2 + 0.008))
    for place in PLAN:
        (x, y), (w, h) = place.centre, place.size
        side = (x + w / 2 + 0.028, y) if place.name in _NAMED_BESIDE else (x, y - h / 2 - 0.022)
        copper.silk(side, place.name, 0.024)
    copper.silk((0.222, 0.968), "PATCHLINE PL-200", 0.027)
    copper.silk((0.905, 0.485), "rev C", 0.026)
    for centre in HOLES:
        copper.ring(centre, 0.042, 0.026)


@lru_cache(maxsize=8)
def bare_board(side: int) -> tuple[Image.Image, Image.Image]:
    """The board without components: colours with its outline as alpha, and height, gloss and metal."""
    copper = _Copper(side * _FINE)
    _supply(copper)
    _bus(copper, np.random.default_rng(7))
    _marks(copper)
    edge = Image.new("L", copper.colour.size, 0)
    last = copper.side - 1
    ImageDraw.Draw(edge).rounded_rectangle((0, 0, last, last), radius=0.035 * copper.side, fill=255)
    size = (side, side)
    colour = copper.colour.resize(size, Image.Resampling.BOX)
    colour.putalpha(edge.resize(size, Image.Resampling.BOX))
    return colour, copper.form.resize(size, Image.Resampling.BOX)
