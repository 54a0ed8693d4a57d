"""New pictures of a folder that another program writes into: listed, and given out once they are whole."""

import logging
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from edge_node.capture.sources.taken_files import SeenFile, TakenFiles
from patchline.pictures.files import list_pictures, open_picture
from patchline.vision.pixels.arrays import Pixels
from patchline.wire.errors import UnavailableError, UnreadableError

_log = logging.getLogger(__name__)

_SHORTEST_PAUSE_SECONDS = 0.03
_COST = 20
"""Listing takes at most this fraction of a processor: 1/20."""
_FEW_FILES = 500
YOUNG_SECONDS = 2.0
"""A picture that was written less than this ago and is damaged may still be being written."""
_RETRY_SECONDS = 0.1


class FolderWatch:
    """Listing works on every file system, also on shares, where no events come. One thread at a time.

    Args:
        directory: The folder; while it is away there is nothing new.
        recursive: Whether its folders count.
        settle_seconds: A file is whole when its size and time have not changed for so long.
        taken: What is not given out again.
    """

    def __init__(self, directory: Path, *, recursive: bool, settle_seconds: float, taken: TakenFiles) -> None:
        self._directory, self._recursive, self._settle_seconds = directory, recursive, settle_seconds
        self._taken = taken
        self._settling: dict[Path, tuple[SeenFile, float]] = {}
        self._is_away = False
        self._look_at_all = 0.0
        self.pause_seconds = _SHORTEST_PAUSE_SECONDS

    def ready(self) -> list[SeenFile]:
        """The whole pictures that have not been taken, newest first."""
        started = time.monotonic()
        settling: dict[Path, tuple[SeenFile, float]] = {}
        for file in self._present(started):
            before = self._settling.get(file.path)
            settling[file.path] = before if before is not None and before[0] == file else (file, started)
        self._settling = settling
        self.pause_seconds = max(_SHORTEST_PAUSE_SECONDS, _COST * (time.monotonic() - started))
        whole = [file for file, since in settling.values() if started - since >= self._settle_seconds]
        return sorted(whole, key=lambda file: file.mtime_ns, reverse=True)

    def take(self, *files: SeenFile) -> None:
        """Do not give these out again."""
        self._taken.add(*files)

    def take_all(self) -> None:
        """Take no notice of the pictures that are there now."""
        self._taken.add(*self._present(time.monotonic()))

    def _present(self, now: float) -> Iterable[SeenFile]:
        """The pictures that were not taken. The time of a file that was taken is looked at now and then only."""
        try:
            paths = list_pictures(self._directory, recursive=self._recursive)
        except UnavailableError as error:
            if not self._is_away:
                _log.warning("waiting for the folder: %s", error)
            self._is_away = True
            return []
        if self._is_away:
            _log.info("folder %s can be read again", self._directory)
            self._is_away = False
        everything = len(self._taken) <= _FEW_FILES or now >= self._look_at_all
        found = [look_at(path) for path in paths if everything or not self._taken.knows(key_of(path))]
        if everything:
            self._look_at_all = now + max(1.0, _COST * (time.monotonic() - now))
        return [file for file in found if file is not None and file not in self._taken]


def look_at(path: Path) -> SeenFile | None:
    """A file as it is now; None when it is gone."""
    try:
        status = path.stat()
    except OSError:
        return None
    return SeenFile(path, status.st_size, status.st_mtime_ns)


def open_when_whole(file: SeenFile, stop: threading.Event) -> Pixels:
    """The pixels of a picture; one that is young and damaged, or changes meanwhile, is read again.

    Raises:
        UnreadableError: It is damaged, or gone.
    """
    while True:
        try:
            pixels = open_picture(file.path)
        except UnreadableError:
            now = look_at(file.path)
            if now is None or time.time() - now.written_at > YOUNG_SECONDS or stop.is_set():
                raise
        else:
            now = look_at(file.path)
            if now == file or now is None:
                return pixels
            _log.info("picture %s was written while it was read; it is read again", file.key)
        file = now
        stop.wait(_RETRY_SECONDS)


def key_of(path: Path) -> str:
    """The text by which a path is remembered."""
    return SeenFile(path, 0, 0).key
