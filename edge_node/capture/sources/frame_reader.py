"""Reads a camera all the time, so that its newest picture is at hand and never one from before a trigger."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from patchline.wire.errors import UnavailableError

_log = logging.getLogger(__name__)

_REOPEN_SECONDS = 0.5
_SILENT_SECONDS = 2.0


class FrameReader:
    """Grabs frames on a daemon thread: a camera that hangs holds nothing else up.

    Args:
        open_camera: Makes an OpenCV capture; may take long.
        name: The camera, for a person.
    """

    def __init__(self, open_camera: Callable[[], Any], name: str) -> None:
        self._open_camera, self._name = open_camera, name
        self._stop = threading.Event()
        self._changed = threading.Condition()
        self._wanted = 0
        self._frame: Any = None
        self._began = -1.0
        self._count = 0
        self._last = time.monotonic()
        self._told = False

    def start(self) -> None:
        """Begin to read; once."""
        threading.Thread(target=self._run, name="camera", daemon=True).start()

    def stop(self) -> None:
        """End reading; returns at once."""
        self._stop.set()

    def problem(self) -> str:
        """Says for how long the camera has given no picture; empty while it gives some."""
        silent = time.monotonic() - self._last
        return f"camera {self._name} has given no picture for {silent:.0f} s" if silent > _SILENT_SECONDS else ""

    def frame_after(self, moment: float, *, skip: int, seconds: float) -> Any:
        """The first frame, after `skip` others, whose reading began after a moment of the monotonic clock.

        Raises:
            UnavailableError: None came in time.
        """
        until = time.monotonic() + seconds
        with self._changed:
            self._wanted += 1
            try:
                first = -1
                while first < 0 or self._count < first + skip or self._frame is None:
                    left = until - time.monotonic()
                    if left <= 0 or self._stop.is_set():
                        raise UnavailableError(f"camera {self._name} gives no picture")
                    self._changed.wait(min(left, 0.1))
                    if first < 0 and self._frame is not None and self._began >= moment:
                        first = self._count
                return self._frame
            finally:
                self._wanted -= 1

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                camera = self._open_camera()
                try:
                    self._read(camera)
                finally:
                    camera.release()
            except Exception as error:  # noqa: BLE001  OpenCV's drivers raise what they like; the camera is opened again
                self._say(str(error))
            self._stop.wait(_REOPEN_SECONDS)

    def _read(self, camera: Any) -> None:
        while not self._stop.is_set():
            began = time.monotonic()
            if not camera.grab():
                self._say("it gives no picture")
                return
            self._last = time.monotonic()
            self._told = False
            with self._changed:
                wanted = self._wanted > 0
            picture = None
            if wanted:
                done, picture = camera.retrieve()
                picture = picture if done else None
            with self._changed:
                self._frame, self._began = picture, began
                self._count += 1
                self._changed.notify_all()

    def _say(self, reason: str) -> None:
        if not self._told:
            _log.warning("camera %s: %s; it is opened again until it answers", self._name, reason)
            self._told = True
