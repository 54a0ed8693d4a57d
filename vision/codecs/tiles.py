"""The codec `tiles:QUALITY`: a tap's channels side by side as one grey picture, in WebP.

After Choi and Bajić, "Deep feature compression for collaborative object detection", ICIP 2018, as the compression
paper uses it (section 3.3). The range of the values goes with every picture: without it their scale would be lost.
"""

import struct
from math import ceil, isqrt
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from vision.arrays import Floats, Size
from vision.codecs.feature_form import PictureMaps, TensorForms
from vision.codecs.feature_protocol import Shapes
from vision.codecs.sealed_codec import Lesson, SealedFeatureCodec
from vision.codecs.webp import LONGEST_SIDE, WebpCodec
from wire_contract.errors import MisconfiguredError, UnreadableError

METHOD = 0
"""libwebp's effort, 0 to 6. Measured on features.6 and features.13 of MobileNetV2 at quality 80: a tap takes 0.9 ms at
0 and 2.7 ms at 4, for at most a ninth fewer bytes; the backbone itself takes 5.6 ms."""

_HEAD = struct.Struct("<ffI")
"""Lowest and highest value of a tap, bytes of its picture."""

_WHITE = 255
_BYTES_A_PIXEL = 4
"""More than libwebp needs for any pixel."""

_PICTURE_OVERHEAD = 4096


class TilesCodec(SealedFeatureCodec):
    """Lossy WebP of tiled feature maps, one picture a tap.

    WebP costs by the pixel: MobileNetV2's features.6 + 13 at quality 80 take 2.1 ms beside a backbone of 5.7 ms, half
    of the channels (`channel-sampling:0.5+tiles:80`, the paper's) 1.1 ms.
    """

    family: ClassVar[str] = "tiles"
    usage: ClassVar[str] = "tiles:QUALITY (1 to 100)"

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
    def learn(cls, lesson: Lesson) -> dict[str, NDArray[Any]]:  # noqa: ARG003 there is nothing to learn
        """Nothing."""
        return {}

    @classmethod
    def forms(cls, parameter: str | None, shapes: Shapes) -> TensorForms:  # noqa: ARG003 there is nothing to learn
        """None, for maps whose tiles make a picture that WebP can carry.

        Raises:
            MisconfiguredError: One would be too large.
        """
        for tap, shape in shapes.items():
            if max(_picture_size(shape)) > LONGEST_SIDE:
                raise MisconfiguredError(
                    f"the tiles of {tap} make a picture with a side over {LONGEST_SIDE} pixels",
                    where=f"codec {cls.family}",
                    remedy="choose a smaller input size, or another codec",
                )
        return {}

    @property
    def longest_body(self) -> int:
        """More than libwebp writes for pictures of these sizes."""
        sizes = [_picture_size(shape) for shape in self._shapes.values()]
        return sum(height * width * _BYTES_A_PIXEL + _PICTURE_OVERHEAD for height, width in sizes)

    def pack(self, maps: PictureMaps) -> bytes:
        """See `SealedFeatureCodec.pack`."""
        return b"".join(self._packed(array) for array in maps.values())

    def unpack(self, body: bytes) -> PictureMaps:
        """See `SealedFeatureCodec.unpack`."""
        maps: PictureMaps = {}
        place = 0
        for tap, shape in self._shapes.items():
            if len(body) < place + _HEAD.size:
                raise self.unreadable("it ends too early")
            lowest, highest, length = _HEAD.unpack_from(body, place)
            place += _HEAD.size
            if not np.isfinite([lowest, highest]).all() or length > len(body) - place:
                raise self.unreadable(f"the range or length of {tap} is wrong")
            try:
                pixels = self._webp.decode(body[place : place + length], _picture_size(shape))
            except UnreadableError as error:
                raise self.unreadable(error.reason) from error
            grey = pixels[..., 1] / np.float32(_WHITE)
            values = grey * np.float32(highest) + (1 - grey) * np.float32(lowest)
            maps[tap] = np.ascontiguousarray(_untiled(values.astype(np.float32), shape))
            place += length
        if place != len(body):
            raise self.unreadable(f"{len(body) - place} bytes follow its end")
        return maps

    @property
    def _webp(self) -> WebpCodec:
        return WebpCodec(int(self._parameter or ""), METHOD)

    def _packed(self, array: Floats) -> bytes:
        lowest, highest = array.min(), array.max()
        wide = array.astype(np.float64) - float(lowest)
        grey = np.rint(wide * (_WHITE / (float(highest - float(lowest)) or 1.0))).astype(np.uint8)
        tiles = _tiled(grey)
        picture = self._webp.encode(np.repeat(tiles[..., np.newaxis], 3, axis=2))
        return _HEAD.pack(float(lowest), float(highest), len(picture)) + picture


def _picture_size(shape: tuple[int, int, int]) -> Size:
    across = _tiles_across(shape)
    return ceil(shape[0] / across) * shape[1], across * shape[2]


def _tiles_across(shape: tuple[int, int, int]) -> int:
    """As many tiles in a row as make the picture about square."""
    channels, height, width = shape
    return min(channels, max(1, isqrt(ceil(channels * height / width))))


def _tiled(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`(C, h, w)` as one picture, row after row; tiles beyond the last channel are mid-grey."""
    channels, height, width = grey.shape
    across = _tiles_across((channels, height, width))
    down = ceil(channels / across)
    tiles = np.full((down * across, height, width), _WHITE // 2, dtype=np.uint8)
    tiles[:channels] = grey
    grid = tiles.reshape(down, across, height, width).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(grid).reshape(down * height, across * width)


def _untiled(picture: Floats, shape: tuple[int, int, int]) -> Floats:
    channels, height, width = shape
    across = _tiles_across(shape)
    grid = picture.reshape(-1, height, across, width).transpose(0, 2, 1, 3)
    return grid.reshape(-1, height, width)[:channels]
