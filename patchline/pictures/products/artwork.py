"""What is printed on the label: a brand band, text, rules, a bar code and a matrix code."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SHEET = (1280, 960)
"""Width and height of the artwork, in dots."""

BLACK = (26, 25, 28)
_WHITE = (255, 255, 255)
_BRAND = (14, 84, 148)
_ACCENT = (226, 122, 22)

FIELDS: dict[str, tuple[int, int, int, int]] = {
    "band": (0, 0, 1280, 176),
    "title": (56, 208, 800, 300),
    "specification": (56, 312, 800, 366),
    "lot": (56, 410, 800, 560),
    "badge": (872, 216, 1224, 560),
    "barcode": (56, 612, 800, 912),
    "matrix": (924, 612, 1224, 912),
}
"""Field -> left, top, right, bottom in dots."""
COLOURED_FIELDS = ("band", "badge")


def draw_sheet(missing: frozenset[str] = frozenset()) -> Image.Image:
    """The artwork in RGBA, opaque where there is paper; the named fields are left unprinted."""
    sheet = Image.new("RGB", SHEET, _WHITE)
    pen = ImageDraw.Draw(sheet)
    for field, draw in _PRINTERS.items():
        if field not in missing:
            draw(pen)
    for top in (388, 584):
        pen.rectangle((56, top, 1224, top + 4), fill=BLACK)
    outline = Image.new("L", SHEET, 0)
    ImageDraw.Draw(outline).rounded_rectangle((0, 0, SHEET[0] - 1, SHEET[1] - 1), radius=44, fill=255)
    sheet.putalpha(outline)
    return sheet


def _write(
    pen: ImageDraw.ImageDraw, place: tuple[int, int], text: str, height: int, *, bold: float = 0, colour: object = BLACK
) -> None:
    font = ImageFont.load_default(size=height)
    pen.text(place, text, fill=colour, font=font, stroke_width=bold, stroke_fill=colour)  # type: ignore[arg-type]


def _band(pen: ImageDraw.ImageDraw) -> None:
    left, top, right, bottom = FIELDS["band"]
    pen.rectangle((left, top, right, bottom - 16), fill=_BRAND)
    pen.rectangle((left, bottom - 16, right, bottom), fill=_ACCENT)
    pen.regular_polygon((122, 82, 58), 6, rotation=30, fill=_WHITE)
    pen.ellipse((92, 52, 152, 112), fill=_BRAND)
    pen.line((122, 82, 176, 28), fill=_ACCENT, width=14)
    _write(pen, (206, 30), "PATCHLINE", 96, bold=2, colour=_WHITE)
    _write(pen, (930, 36), "PRECISION", 42, bold=1, colour=_WHITE)
    _write(pen, (930, 86), "FASTENERS", 42, bold=1, colour=_WHITE)


def _title(pen: ImageDraw.ImageDraw) -> None:
    _write(pen, (56, 198), "Hex bolt M8 x 40", 90, bold=2)


def _specification(pen: ImageDraw.ImageDraw) -> None:
    _write(pen, (56, 308), "ISO 4017  ·  A2-70  ·  stainless steel", 44)


def _lot(pen: ImageDraw.ImageDraw) -> None:
    for row, (name, value) in enumerate((("LOT", "2611-0473"), ("QTY", "200 pcs"), ("DATE", "2026-11"))):
        _write(pen, (56, 404 + 52 * row), name, 44, bold=1)
        _write(pen, (216, 404 + 52 * row), value, 44)
    _write(pen, (520, 404), "net 4.10 kg", 44)
    _write(pen, (520, 456), "bin  C-17", 44)


def _badge(pen: ImageDraw.ImageDraw) -> None:
    """A bolt seen from the side, in a frame."""
    left, top, right, bottom = FIELDS["badge"]
    pen.rounded_rectangle((left, top, right, bottom - 190), radius=18, outline=BLACK, width=6)
    middle = (top + bottom - 190) // 2
    pen.rounded_rectangle((left + 40, middle - 46, left + 92, middle + 46), radius=8, fill=BLACK)
    pen.rectangle((left + 92, middle - 24, right - 46, middle + 24), fill=BLACK)
    for x in range(left + 150, right - 50, 14):
        pen.line((x, middle + 26, x + 10, middle - 26), fill=_WHITE, width=5)
    pen.rounded_rectangle((left, bottom - 166, right, bottom), radius=18, fill=_ACCENT)
    _write(pen, (left + 48, bottom - 160), "8.8", 142, bold=4, colour=_WHITE)
    pen.regular_polygon((right - 62, bottom - 83, 46), 6, rotation=30, outline=_WHITE, width=12)


def _barcode(pen: ImageDraw.ImageDraw) -> None:
    left, top, right, bottom = FIELDS["barcode"]
    widths = np.random.default_rng(128).integers(1, 5, 86)
    module = (right - left) / float(widths.sum())
    x = float(left)
    for bar, width in enumerate(widths):
        if bar % 2 == 0:
            pen.rectangle((round(x), top, round(x + width * module) - 1, bottom - 66), fill=BLACK)
        x += width * module
    _write(pen, (left + 96, bottom - 58), "(01) 0 4012345 678901", 50)


def _matrix(pen: ImageDraw.ImageDraw) -> None:
    left, top, right, _ = FIELDS["matrix"]
    cells = 16
    dark = np.random.default_rng(16).random((cells, cells)) < 0.5  # noqa: PLR2004 half of a code's cells are dark
    dark[:, 0] = dark[-1, :] = True
    dark[0, :], dark[:, -1] = np.arange(cells) % 2 == 0, np.arange(cells) % 2 == 1
    step = (right - left) / cells
    for row, column in np.argwhere(dark):
        x, y = left + column * step, top + row * step
        pen.rectangle((round(x), round(y), round(x + step) - 1, round(y + step) - 1), fill=BLACK)


_PRINTERS = {
    "band": _band,
    "title": _title,
    "specification": _specification,
    "lot": _lot,
    "badge": _badge,
    "barcode": _barcode,
    "matrix": _matrix,
}
