"""Pictures for the report: a part with its mask outlined, and its anomaly map on a fixed scale."""

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

PANEL_PIXELS = 320
"""The longer side of an embedded picture."""

FAINT, FULL, SATURATED = 0.75, 1.0, 1.5
"""Multiples of the threshold at which the heat becomes visible, reaches red, and ends in dark red.

Normal surface lies below the first: a map without a defect stays grey."""

_STOPS = np.array([FAINT, 0.9, FULL, SATURATED], dtype=np.float32)
_COLOURS = np.array([[255, 237, 160], [254, 178, 76], [227, 26, 28], [103, 0, 31]], dtype=np.float32)
_OPACITY = np.array([0.0, 0.4, 0.65, 0.8], dtype=np.float32)
_OUTLINE = (0, 229, 255)
_LEGEND_SIZE = (14, 300)
_QUALITY = 85
"""Of the WebP in the page."""
_MARGIN = 0.03
"""How far a peak may lie from a defect and still point at it, as a share of the longer side."""


def heat(values: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Colour (H, W, 3) and opacity (H, W, 1) of map values given as multiples of the threshold.

    The scale is the same for every picture of every run: a map is never stretched to its own range, so that a part
    without a defect looks calm.
    """
    colour = np.stack([np.interp(values, _STOPS, _COLOURS[:, channel]) for channel in range(3)], axis=-1)
    opacity = np.interp(values, _STOPS, _OPACITY)[..., None]
    return colour.astype(np.float32), opacity.astype(np.float32)


def panel_size(pixels: NDArray[np.uint8]) -> tuple[int, int]:
    """Height and width of a picture's panel, its longer side `PANEL_PIXELS`."""
    height, width = pixels.shape[:2]
    scale = PANEL_PIXELS / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def plain_panel(pixels: NDArray[np.uint8], mask: NDArray[np.bool_] | None) -> NDArray[np.uint8]:
    """The part as the camera saw it, at panel size, the defect's true place outlined."""
    return _outlined(_resized(pixels, panel_size(pixels)), mask)


def heat_panel(
    pixels: NDArray[np.uint8], ratio: NDArray[np.float32], mask: NDArray[np.bool_] | None
) -> NDArray[np.uint8]:
    """The part in grey under its anomaly map, at panel size.

    Args:
        pixels: The picture, (H, W, 3).
        ratio: The map in multiples of the threshold, of any size.
        mask: The defect's true place, outlined; of any size.
    """
    size = panel_size(pixels)
    grey = np.asarray(Image.fromarray(_resized(pixels, size)).convert("L"), dtype=np.float32)
    ground = np.repeat(grey[..., None] * 0.75 + 64.0, 3, axis=-1)
    picture = Image.fromarray(np.asarray(ratio, dtype=np.float32), mode=None)
    values = np.asarray(picture.resize((size[1], size[0]), Image.Resampling.BILINEAR), dtype=np.float32)
    colour, opacity = heat(values)
    blended = ground * (1.0 - opacity) + colour * opacity
    return _outlined(np.clip(blended, 0, 255).astype(np.uint8), mask)


def legend_strip() -> NDArray[np.uint8]:
    """The heat's scale from 0 to twice the threshold, over the grey the maps lie on."""
    values = np.tile(np.linspace(0.0, 2.0, _LEGEND_SIZE[1], dtype=np.float32), (_LEGEND_SIZE[0], 1))
    colour, opacity = heat(values)
    return (200.0 * (1.0 - opacity) + colour * opacity).astype(np.uint8)


def data_uri(pixels: NDArray[np.uint8]) -> str:
    """A picture as a `data:` address, so that the page needs nothing but itself."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="WEBP", quality=_QUALITY)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def dilated(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A mask grown by a share of its longer side on every side: whether a peak lies near the defect."""
    reach = max(1, round(_MARGIN * max(mask.shape)))
    picture = Image.fromarray(mask.astype(np.uint8) * 255)
    grown = picture.filter(ImageFilter.MaxFilter(2 * reach + 1))
    return np.asarray(grown) > 0


def _resized(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    picture = Image.fromarray(pixels).resize((size[1], size[0]), Image.Resampling.LANCZOS)
    return np.array(picture, dtype=np.uint8)


def _outlined(pixels: NDArray[np.uint8], mask: NDArray[np.bool_] | None) -> NDArray[np.uint8]:
    if mask is None or not mask.any():
        return pixels
    height, width = pixels.shape[:2]
    picture = Image.fromarray(mask.astype(np.uint8) * 255).resize((width, height), Image.Resampling.NEAREST)
    inside = np.asarray(picture) > 0
    outer = np.asarray(picture.filter(ImageFilter.MaxFilter(5))) > 0
    rim = outer & ~inside
    drawn = pixels.copy()
    drawn[rim] = _OUTLINE
    return drawn
