"""A camera that OpenCV can open: a device number, a video file, or a stream's address."""

import importlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from edge_node.capture.sources.protocol import Pixels, Shot
from edge_node.capture.sources.triggers import Triggers
from patchline.runtime.redaction import redacted
from patchline.wire.errors import UnavailableError, missing_extra


class CameraSource:
    """One picture a trigger, the freshest the camera has; an unplugged camera is opened again at the next trigger.

    Args:
        device: A number (`0` is the first camera), a path, or an address such as `rtsp://...`.
        triggers: When to expose.
        stale_frames: Pictures to skip first, because drivers keep some from before the trigger. 0 for a video file.

    Raises:
        MisconfiguredError: OpenCV is not installed.
    """

    def __init__(self, device: str, triggers: Triggers, *, stale_frames: int = 0) -> None:
        try:
            self._cv2: Any = importlib.import_module("cv2")
        except ModuleNotFoundError as error:
            raise missing_extra("opencv", "camera") from error
        self._device: str | int = int(device) if device.isdecimal() else device
        self._triggers = triggers
        self._stale_frames = stale_frames
        self._capture: Any = None

    def frames(self) -> Iterator[Shot]:
        """One shot a trigger; the camera itself never ends."""
        try:
            for part_id in self._triggers:
                yield Shot(part_id, self._expose)
        finally:
            self._release()

    def _expose(self) -> Pixels:
        if self._capture is None:
            self._capture = self._cv2.VideoCapture(self._device)
            self._capture.set(self._cv2.CAP_PROP_BUFFERSIZE, 1)
        for _ in range(self._stale_frames):
            self._capture.grab()
        done, picture = self._capture.read()
        if not done:
            self._release()
            raise UnavailableError(f"camera {redacted(str(self._device))} gives no picture")
        rgb: Pixels = np.ascontiguousarray(self._cv2.cvtColor(picture, self._cv2.COLOR_BGR2RGB))
        return rgb

    def _release(self) -> None:
        if self._capture is not None:
            self._capture.release()
            self._capture = None
