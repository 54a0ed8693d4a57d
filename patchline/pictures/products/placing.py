"""Laying a flat drawing into a scene."""

from math import cos, sin

from PIL import Image

_MARGIN = 2


def framed(sheet: Image.Image) -> Image.Image:
    """The same drawing with an empty margin, without which its edges would be jagged once it is turned."""
    frame = Image.new(sheet.mode, (sheet.width + 2 * _MARGIN, sheet.height + 2 * _MARGIN))
    frame.paste(sheet, (_MARGIN, _MARGIN))
    return frame


def placed(sheet: Image.Image, size: tuple[int, int], centre: tuple[float, float], angle: float) -> Image.Image:
    """A drawing in a scene of some (height, width), empty around it.

    Args:
        sheet: The drawing, in the scene's resolution.
        size: Of the scene.
        centre: Where its middle comes to lie, from the scene's middle, as shares of the scene's shorter side.
        angle: It is turned by, in radians.
    """
    c, s = cos(angle), sin(angle)
    x = size[1] / 2 + centre[0] * min(size)
    y = size[0] / 2 + centre[1] * min(size)
    affine = (c, s, sheet.width / 2 - c * x - s * y, -s, c, sheet.height / 2 + s * x - c * y)
    return sheet.transform((size[1], size[0]), Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR)
