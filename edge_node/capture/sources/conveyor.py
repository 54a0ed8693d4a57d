"""A simulated conveyor: each part shows its number in its pixels, and a picture shows what stands there at that moment.

A picture that is taken too late shows another part, and the number in it proves that. Tests and replays use this source
to show which part was pictured; it says nothing about how well a detector works.
"""

import math
import time
from collections.abc import Callable
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from edge_node.capture.sources.protocol import Pixels, Positive, Shot, Source, SourceContext, SourceSettings
from edge_node.outbox.rows import Trigger
from patchline.wire.errors import UnreadableError

_ROWS, _COLUMNS = 4, 5
_NUMBER_BITS = 16
_CHECK = 13
_DARK, _BRIGHT = 40, 215
_MIDDLE = (_DARK + _BRIGHT) / 2


def picture_of(number: int, size: tuple[int, int] = (160, 160)) -> Pixels:
    """A picture that shows a number as a grid of dark and bright cells, large enough for lossy codecs."""
    number %= 1 << _NUMBER_BITS
    word = (number << 4) | (number % _CHECK)
    bits = np.array([(word >> place) & 1 for place in range(_ROWS * _COLUMNS)]).reshape(_ROWS, _COLUMNS)
    rows = np.arange(size[0]) * _ROWS // size[0]
    columns = np.arange(size[1]) * _COLUMNS // size[1]
    grey = np.where(bits[rows][:, columns] == 1, _BRIGHT, _DARK).astype(np.uint8)
    return np.ascontiguousarray(np.repeat(grey[..., None], 3, axis=2))


def number_in(pixels: Pixels) -> int:
    """The number that a picture shows, modulo 65536; raises `UnreadableError` where it shows none."""
    height, width = pixels.shape[:2]
    word = 0
    for place in range(_ROWS * _COLUMNS):
        row, column = divmod(place, _COLUMNS)
        top, left = height * (4 * row + 1) // (4 * _ROWS), width * (4 * column + 1) // (4 * _COLUMNS)
        bottom, right = height * (4 * row + 3) // (4 * _ROWS), width * (4 * column + 3) // (4 * _COLUMNS)
        cell = pixels[top : max(bottom, top + 1), left : max(right, left + 1)]
        word |= int(cell.mean() > _MIDDLE) << place
    number, check = word >> 4, word & 15
    if number % _CHECK != check:
        raise UnreadableError("the picture shows no part number", code="picture")
    return number


class ConveyorSettings(SourceSettings):
    """A simulated conveyor."""

    kind: Literal["conveyor"] = Field(description="which source")
    part_seconds: Positive = Field(1.0, description="how long each part stands before the camera")
    started_at: float | None = Field(
        None, description="Unix time at which part 0 comes before the camera; the station's start unless given"
    )
    parts: int | None = Field(None, ge=1, description="how many triggers are taken; endless unless given")
    size: tuple[int, int] = Field((160, 160), description="height and width of the picture")
    exposure_seconds: Annotated[float, Field(ge=0)] = Field(
        0.0, description="how long the camera needs; the picture shows the part that stands there at the end"
    )


class ConveyorSource(Source):
    """Shows the part that stands before the camera by the clock, whichever part the trigger was for."""

    Settings = ConveyorSettings
    live = True

    def __init__(
        self, settings: ConveyorSettings, context: SourceContext, *, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__(settings, context)
        self._clock, self._settings, self._taken = clock, settings, 0
        self._started_at = clock() if settings.started_at is None else settings.started_at

    def at(self, trigger: Trigger) -> Shot | None:
        """The camera, for a part that is called after its number on the belt unless the plant named it."""
        if self.ended():
            return None
        self._taken += 1
        return Shot(trigger.part_id or str(self._standing(trigger.captured_at)), self._expose)

    def ended(self) -> bool:
        """Whether as many triggers were taken as were asked for."""
        return self._settings.parts is not None and self._taken >= self._settings.parts

    def _expose(self) -> Pixels:
        if self._settings.exposure_seconds:
            time.sleep(self._settings.exposure_seconds)
        return picture_of(self._standing(self._clock()), self._settings.size)

    def _standing(self, at: float) -> int:
        return max(0, math.floor((at - self._started_at) / self._settings.part_seconds))
