"""The codec `tiles:QUALITY`: the channels of all taps side by side as one grey picture, in WebP.

After Choi and Bajić, "Deep feature compression for collaborative object detection", ICIP 2018, as the compression
paper uses it (section 3.3). The range of each tap's values goes with every picture: without it their scale would be
lost.
"""

import struct
from collections.abc import Mapping
from math import ceil, sqrt
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from patchline.vision.codecs.features.form import PictureMaps, TensorForms, values_of, wrong_tensor
from patchline.vision.codecs.features.protocol import Shapes
from patchline.vision.codecs.features.sealed_codec import Lesson, SealedFeatureCodec
from patchline.vision.codecs.image.webp import LONGEST_SIDE, WebpCodec
from patchline.vision.pixels.arrays import Floats, Size
from patchline.wire.errors import MisconfiguredError, UnreadableError

METHOD = 0
"""libwebp's effort, 0 to 6. Measured on features.6 and features.13 of MobileNetV2 at quality 80, when each tap was a
picture: a tap took 0.9 ms at 0 and 2.7 ms at 4, for at most a ninth fewer bytes; the backbone itself took 5.6 ms."""

_RANGE = struct.Struct("<ff")
"""Lowest and highest value of a tap."""

_WHITE = 255
_MIDDLE = _WHITE // 2
_BYTES_A_PIXEL = 4
"""More than libwebp needs for any pixel."""

_PICTURE_OVERHEAD = 4096
_LAYOUT = "layout"
_NARROWEST, _WIDEST = 1e-30, float(np.finfo(np.float32).max)
"""Ranges between which float32 does for scaling."""
_BLOCK = 16
"""Pixels of the blocks that WebP codes: one that is hardly filled takes as long as a full one."""
_LONGEST_ASPECT = 3


class TilesCodec(SealedFeatureCodec):
    """Lossy WebP of tiled feature maps, one picture for all taps.

    WebP costs by the pixel, and five sixths of the time are libwebp's: at quality 80 all channels of MobileNetV2's
    features.6 + 13 take 1.9 ms beside a backbone of 6.3 ms, half of them (`channel-sampling:0.5+tiles:80`) 1.3 ms.
    """

    family: ClassVar[str] = "tiles"
    usage: ClassVar[str] = "tiles:QUALITY (1 to 100)"
    examples: ClassVar[tuple[str, ...]] = ("tiles:90", "tiles:20")
    refused: ClassVar[tuple[str | None, ...]] = (None, "", "0", "101", "080", "80.0")

    def __init__(self, parameter: str | None, shapes: Shapes, tensors: Mapping[str, NDArray[Any]]) -> None:
        super().__init__(parameter, shapes, tensors)
        self._size, self._sheets = _sheets_of(shapes)
        if not np.array_equal(tensors[_LAYOUT], _layout_of(shapes)):
            raise wrong_tensor(self.name, f"tensor {_LAYOUT} is not how this version lays tiles out")
        self._webp = WebpCodec(int(parameter or ""), METHOD)

    @classmethod
    def check(cls, parameter: str | None) -> None:
        """See `FeatureCodec.check`."""
        try:
            WebpCodec.parse(parameter)
        except MisconfiguredError as error:
            raise MisconfiguredError(
                f"{parameter!r} is not a quality of the codec {cls.family}", where="codec", remedy=f"write {cls.usage}"
            ) from error

    @classmethod
    def learn(cls, lesson: Lesson) -> dict[str, NDArray[Any]]:
        """Only the layout, so that a version with another layout is recognised."""
        return {_LAYOUT: _layout_of(lesson.shapes)}

    @classmethod
    def forms(cls, parameter: str | None, shapes: Shapes) -> TensorForms:  # noqa: ARG003 the quality changes nothing
        """The layout, for maps whose tiles make a picture that WebP can carry.

        Raises:
            MisconfiguredError: It would be too large.
        """
        if max(_sheets_of(shapes)[0]) > LONGEST_SIDE:
            raise MisconfiguredError(
                f"the tiles of {', '.join(shapes)} make a picture with a side over {LONGEST_SIDE} pixels",
                where=f"codec {cls.family}",
                remedy="choose a smaller input size, or another codec",
            )
        return {_LAYOUT: ((len(shapes) + 1, 2), "uint16")}

    @property
    def longest_body(self) -> int:
        """More than libwebp writes for a picture of this size."""
        height, width = self._size
        return _RANGE.size * len(self._sheets) + height * width * _BYTES_A_PIXEL + _PICTURE_OVERHEAD

    def pack(self, maps: PictureMaps) -> bytes:
        """See `SealedFeatureCodec.pack`."""
        grey, ranges = np.full(self._size, _MIDDLE, np.uint8), []
        for sheet, array in zip(self._sheets, maps.values(), strict=True):
            lowest, highest = array.min(), array.max()
            ranges.append(_RANGE.pack(lowest, highest))
            span = float(highest) - float(lowest)
            levels = (array if _NARROWEST < span < _WIDEST else array.astype(np.float64)) - lowest
            levels *= _WHITE / (span or 1.0)
            levels += 0.5  # to be cut to whole numbers
            sheet.lay(levels.astype(np.uint8), grey)
        return b"".join(ranges) + self._webp.encode_grey(grey)

    def unpack(self, body: bytes) -> PictureMaps:
        """See `SealedFeatureCodec.unpack`."""
        start = _RANGE.size * len(self._sheets)
        ranges = np.frombuffer(body[:start].ljust(start, b"\xff"), "<f4").astype(np.float32).reshape(-1, 2)
        if not np.isfinite(ranges).all():
            raise self.unreadable("a range is wrong or cut off")
        try:
            pixels = self._webp.decode(body[start:], self._size)
        except UnreadableError as error:
            raise self.unreadable(error.reason) from error
        grey: Floats = np.divide(pixels[..., 1], np.float32(_WHITE), dtype=np.float32)
        maps: PictureMaps = {}
        for (tap, sheet), (lowest, highest) in zip(zip(self._shapes, self._sheets, strict=True), ranges, strict=True):
            own = sheet.lift(grey)
            maps[tap] = own * highest + (1 - own) * lowest
        return maps


class _Sheet(NamedTuple):
    """The rows of the picture that hold a tap: its shape, its first row, and how many tiles lie across."""

    shape: tuple[int, int, int]
    top: int
    across: int

    @property
    def height(self) -> int:
        """In pixels."""
        return ceil(self.shape[0] / self.across) * self.shape[1]

    def lay(self, grey: NDArray[np.uint8], picture: NDArray[np.uint8]) -> None:
        """Put channels `(C, h, w)` onto the picture, row after row of tiles."""
        channels, height, width = self.shape
        full = channels // self.across
        rows = grey[: full * self.across].reshape(full, self.across, height, width).swapaxes(1, 2)
        bottom = self.top + full * height
        picture[self.top : bottom, : self.across * width].reshape(rows.shape)[:] = rows
        rest = grey[full * self.across :].swapaxes(0, 1)
        picture[bottom : bottom + height, : rest.shape[1] * width].reshape(rest.shape)[:] = rest

    def lift(self, picture: Floats) -> Floats:
        """The channels on a picture."""
        channels, height, width = self.shape
        own = picture[self.top : self.top + self.height, : self.across * width]
        tiles = own.reshape(-1, height, self.across, width).swapaxes(1, 2).reshape(-1, height, width)
        return np.ascontiguousarray(tiles[:channels])


def _sheets_of(shapes: Shapes) -> tuple[Size, list[_Sheet]]:
    """The size of the picture and the sheets on it: a whole number of the widest tiles wide, in the fewest blocks."""
    widest = max(width for _, _, width in shapes.values())
    side = sqrt(values_of(shapes))
    most = max(1, round(side * sqrt(_LONGEST_ASPECT) / widest))
    fewest = min(most, max(1, round(side / sqrt(_LONGEST_ASPECT) / widest)))
    laid = [_laid(shapes, across * widest) for across in range(fewest, most + 1)]
    return min(laid, key=lambda one: (_blocks(one[0]), abs(one[0][0] - one[0][1])))


def _layout_of(shapes: Shapes) -> NDArray[np.uint16]:
    """Height and width of the picture, then first row and tiles across of each tap."""
    size, sheets = _sheets_of(shapes)
    return np.array([size, *((sheet.top, sheet.across) for sheet in sheets)], np.uint16)


def _laid(shapes: Shapes, width: int) -> tuple[Size, list[_Sheet]]:
    sheets, top = [], 0
    for shape in shapes.values():
        sheets.append(_Sheet(shape, top, min(shape[0], width // shape[2])))
        top += sheets[-1].height
    return (top, max(sheet.across * sheet.shape[2] for sheet in sheets)), sheets


def _blocks(size: Size) -> int:
    return ceil(size[0] / _BLOCK) * ceil(size[1] / _BLOCK)
