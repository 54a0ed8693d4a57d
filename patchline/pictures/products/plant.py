"""Planting a defect into a normal picture, with the mask of exactly the pixels it changed."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from patchline.pictures.products import brushes
from patchline.pictures.products.camera import Light, light_of, pixels_of
from patchline.pictures.products.protocol import Drawing, Pixels, Plane
from patchline.wire.errors import MisconfiguredError

Mask = NDArray[np.bool_]
Window = tuple[slice, slice]
Brush = Callable[[Light, float, np.random.Generator], Light]

DEFECTS: dict[str, Brush] = {
    "scratch": brushes.scratch,
    "dent": brushes.dent,
    "stain": brushes.stain,
    "missing_part": brushes.missing_part,
    "wrong_colour": brushes.wrong_colour,
    "crack": brushes.crack,
}
"""Kind of defect -> how it is painted where a product does not draw it itself."""

SIZE = 0.16
"""Longest side of a defect, as a share of the picture's shorter side, where nobody asks for another."""
CONTRAST = 1.0

NOTICEABLE = 8
"""Levels of 255 a pixel must change by, in any channel, to belong to the mask."""
_FEWEST_PIXELS = 6
_TRIALS = 16
_NEAREST = 3
_PLACES = 6


def plant(
    drawing: Drawing, kind: str, *, size: float = SIZE, contrast: float = CONTRAST, rng: np.random.Generator
) -> tuple[Pixels, Mask]:
    """A drawn part with one defect, where such a defect makes sense.

    Args:
        drawing: A normal part; it is left as it is.
        kind: One of the product's `defects`.
        size: Longest side of the defect, as a share of the picture's shorter side. Parts go missing and change colour
            as wholes: one of about that size is chosen.
        contrast: From 0 (exclusive) to 1, which is the defect at its plainest; less fades it into the normal picture.
            A solid part that is missing is missing at any contrast.
        rng: Chooses the place, the shape, and the strength within the kind.

    Returns:
        The pixels, and the `(H, W)` mask of those that changed by at least `NOTICEABLE` levels, tiny gaps closed.

    Raises:
        MisconfiguredError: The kind makes no sense on this product, size or contrast is out of range, or the defect
            cannot be seen.
    """
    _check_strength(kind, size, contrast)
    regions = [region for region in drawing.regions if kind in region.defects]
    if not regions:
        known = sorted({name for region in drawing.regions for name in region.defects})
        raise MisconfiguredError(f"{kind!r} is no defect of this product", remedy=f"use one of: {', '.join(known)}")
    if kind in {"missing_part", "wrong_colour"}:
        regions = sorted(regions, key=lambda region: abs(np.log(region.extent / size)))[:_NEAREST]

    extent = size * min(drawing.pixels.shape[:2])

    def attempt() -> Pixels:
        region = regions[int(rng.integers(len(regions)))]
        if kind == "missing_part" and region.without is not None:
            gone = region.without(size, rng)
            return _faded(drawing.pixels, gone, contrast) if region.fades else gone
        cover = region.coverage()
        if kind == "wrong_colour":
            spot = _Spot(cover, _bounds(cover), extent)
            return _painted(drawing.pixels, spot, brushes.recoloured, contrast, rng)
        return _painted(drawing.pixels, _spot(cover, extent, rng), DEFECTS[kind], contrast, rng)

    return _noticeable(drawing.pixels, attempt, kind, size, contrast)


def plant_into(
    pixels: Pixels, kind: str, *, size: float = SIZE, contrast: float = CONTRAST, rng: np.random.Generator
) -> tuple[Pixels, Mask]:
    """Any normal picture with one painted defect somewhere; parameters, result and errors as for `plant`."""
    if kind not in DEFECTS:
        raise MisconfiguredError(f"{kind!r} is no kind of defect", remedy=f"use one of: {', '.join(DEFECTS)}")
    _check_strength(kind, size, contrast)
    everywhere = np.ones(pixels.shape[:2], dtype=np.float32)
    extent = size * min(pixels.shape[:2])

    def attempt() -> Pixels:
        return _painted(pixels, _spot(everywhere, extent, rng), DEFECTS[kind], contrast, rng)

    return _noticeable(pixels, attempt, kind, size, contrast)


def _check_strength(kind: str, size: float, contrast: float) -> None:
    if not 0 < contrast <= 1 or not 0 < size <= 1:
        raise MisconfiguredError(
            f"a defect of size {size} and contrast {contrast}", where=kind, remedy="give both between 0 and 1"
        )


def _noticeable(
    normal: Pixels, attempt: Callable[[], Pixels], kind: str, size: float, contrast: float
) -> tuple[Pixels, Mask]:
    """The first attempt that shows, with its mask."""
    for _ in range(_TRIALS):
        defective = attempt()
        changed = np.abs(defective.astype(np.int16) - normal).max(axis=2) >= NOTICEABLE
        if changed.sum() >= _FEWEST_PIXELS:
            return defective, _closed(changed)
    raise MisconfiguredError(
        f"a {kind} of size {size} and contrast {contrast} cannot be seen", where=kind, remedy="give more of either"
    )


def _closed(changed: Mask) -> Mask:
    """The same mask without gaps of a pixel or two, where a change passes through zero."""
    image = Image.fromarray(np.pad(changed.astype(np.uint8), 2))
    closed = image.filter(ImageFilter.MaxFilter(3)).filter(ImageFilter.MinFilter(3))
    return np.asarray(closed)[2:-2, 2:-2] > 0


@dataclass(frozen=True)
class _Spot:
    """Where a defect goes: what it may cover, in which window, how long it is in pixels."""

    cover: Plane
    window: Window
    extent: float


def _painted(normal: Pixels, spot: _Spot, brush: Brush, contrast: float, rng: np.random.Generator) -> Pixels:
    """The picture with a defect painted in a spot's window, where that is covered."""
    light = light_of(normal[spot.window])
    share = spot.cover[spot.window][..., None] * np.float32(contrast)
    result = normal.copy()
    result[spot.window] = pixels_of(light + (brush(light, spot.extent, rng) - light) * share)
    return result


def _faded(normal: Pixels, defective: Pixels, contrast: float) -> Pixels:
    light = light_of(normal)
    return pixels_of(light + (light_of(defective) - light) * np.float32(contrast))


def _bounds(cover: Plane) -> Window:
    """The smallest window around everything covered."""
    rows, columns = np.flatnonzero(cover.any(axis=1)), np.flatnonzero(cover.any(axis=0))
    if not len(rows):
        return slice(0, 1), slice(0, 1)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _spot(cover: Plane, extent: float, rng: np.random.Generator) -> _Spot:
    """A spot for a defect of some extent: of a few random places, the one that is covered best."""
    half = round(0.62 * extent) + 3
    spots = np.argwhere(cover > 0.5)  # noqa: PLR2004 more than half inside
    tried = spots[rng.integers(len(spots), size=_PLACES)] if len(spots) else np.zeros((1, 2), dtype=np.intp)
    height, width = cover.shape
    windows = [(_span(int(y), half, height), _span(int(x), half, width)) for y, x in tried]
    return _Spot(cover, max(windows, key=lambda window: float(cover[window].mean())), extent)


def _span(middle: int, half: int, side: int) -> slice:
    """A span around a place, moved inside the picture where it would stick out."""
    first = min(max(0, middle - half), max(0, side - 2 * half))
    return slice(first, min(side, first + 2 * half))
