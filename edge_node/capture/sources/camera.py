"""A camera that OpenCV can open: a device number, a video file, or a stream's address."""

import importlib
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from edge_node.capture.sources.frame_reader import FrameReader
from edge_node.capture.sources.protocol import Pixels, Shot, Source, SourceContext, SourceSettings
from edge_node.outbox.rows import Trigger
from patchline.runtime.redaction import redacted
from patchline.wire.errors import UnavailableError, UnreadableError, missing_extra

_GREY, _GREY_PLANE, _COLOUR, _WITH_ALPHA = 2, 1, 3, 4


class CameraSettings(SourceSettings):
    """A camera that OpenCV opens."""

    kind: Literal["camera"] = Field(description="which source")
    device: str = Field("0", description="number, path or address of the camera")
    stale_frames: int = Field(
        0, ge=0, description="pictures to skip after the trigger, where the camera itself delivers older ones"
    )


class CameraSource(Source):
    """One picture a trigger, never one from before the trigger; a camera that is away is opened again.

    A device or a stream is read all the time, so that nothing old waits in its driver. A video file gives its next
    picture at each trigger, and starts again at its end.

    Raises:
        MisconfiguredError: OpenCV is not installed.
    """

    Settings = CameraSettings
    live = True

    def __init__(self, settings: CameraSettings, context: SourceContext) -> None:
        super().__init__(settings, context)
        try:
            self._cv2: Any = importlib.import_module("cv2")
        except ModuleNotFoundError as error:
            raise missing_extra("opencv", "camera") from error
        self._device: str | int = int(settings.device) if settings.device.isdecimal() else settings.device
        self._name = redacted(settings.device)
        self._is_film = isinstance(self._device, str) and Path(self._device).is_file()
        self._film: Any = None
        self._reader: FrameReader | None = None

    def at(self, trigger: Trigger) -> Shot | None:
        """The camera; it never ends."""
        return Shot(trigger.part_id, self._next_of_film if self._is_film else partial(self._live, trigger))

    def check(self) -> None:
        """Open the camera and take a picture, within the exposure's time limit."""
        if not self._is_film:
            reader = self._make_reader()
            reader.start()
            try:
                reader.frame_after(0.0, skip=0, seconds=self.settings.exposure_timeout_seconds)
            finally:
                reader.stop()

    def start(self) -> None:
        """Begin to read."""
        if not self._is_film and self._reader is None:
            self._reader = self._make_reader()
            self._reader.start()

    def stop(self) -> None:
        """End reading."""
        if self._reader is not None:
            self._reader.stop()

    def problem(self) -> str:
        """Why the camera gives no picture."""
        return self._reader.problem() if self._reader is not None else ""

    def _make_reader(self) -> FrameReader:
        return FrameReader(partial(self._open, self._device), self._name)

    def _open(self, device: str | int) -> Any:
        capture = self._cv2.VideoCapture(device)
        capture.set(self._cv2.CAP_PROP_BUFFERSIZE, 1)
        return capture

    def _live(self, trigger: Trigger) -> Pixels:
        self.start()
        assert self._reader is not None
        picture = self._reader.frame_after(
            trigger.captured_monotonic,
            skip=self.settings.stale_frames,
            seconds=self.settings.exposure_timeout_seconds,
        )
        return self._rgb(picture)

    def _next_of_film(self) -> Pixels:
        for _ in range(2):
            if self._film is None:
                self._film = self._cv2.VideoCapture(self._device)
            done, picture = self._film.read()
            if done:
                return self._rgb(picture)
            self._film.release()
            self._film = None
        raise UnavailableError(f"camera {self._name} gives no picture")

    def _rgb(self, picture: Any) -> Pixels:
        """The pixels of a frame, whatever the camera delivers.

        Raises:
            UnreadableError: The frame has a shape or a type that is no picture.
        """
        frame = np.asarray(picture)
        if frame.dtype == np.uint16:
            frame = (frame >> 8).astype(np.uint8)
        if frame.ndim == _GREY:
            frame = frame[..., None]
        if frame.dtype != np.uint8 or frame.ndim != _COLOUR or 0 in frame.shape:
            raise UnreadableError(f"camera {self._name}: a frame of {frame.shape} {frame.dtype} is no picture")
        channels = frame.shape[2]
        if channels == _GREY_PLANE:
            return np.ascontiguousarray(np.repeat(frame, 3, axis=2))
        if channels not in {_COLOUR, _WITH_ALPHA}:
            raise UnreadableError(f"camera {self._name}: a frame of {channels} channels is no picture")
        return np.ascontiguousarray(frame[..., 2::-1])
