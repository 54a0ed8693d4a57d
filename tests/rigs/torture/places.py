"""File systems of a round's own, small enough to be filled and wholly ours to break."""

import shutil
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from patchline.replay.system_command import run
from patchline.wire.errors import UnavailableError

SMALL_BYTES = 12 * 1024**2
_DISK_BYTES = 32 * 1024**2
_BLOCK = 64 * 1024


class Place:
    """A folder; the places below are mounted there.

    Args:
        folder: Where it is, made if it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._mount()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._unmount()

    def fill(self) -> None:
        """Leave not a byte of room."""
        with (self.folder / "filler").open("ab", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(_BLOCK))
        with (self.folder / "filler").open("ab", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(512))

    def clear(self) -> None:
        """Give the room back."""
        (self.folder / "filler").unlink(missing_ok=True)

    def _mount(self) -> None:
        """A plain folder needs nothing."""

    def _unmount(self) -> None:
        """A plain folder stays."""


class MemoryDisk(Place):
    """A tmpfs of a few megabytes."""

    def _mount(self) -> None:
        run("mount", "-t", "tmpfs", "-o", f"size={SMALL_BYTES}", "tmpfs", str(self.folder))

    def _unmount(self) -> None:
        run("umount", "-l", str(self.folder))


class RealDisk(Place):
    """An ext4 on a loop device: what a program has not flushed is not in its image, as after a power cut."""

    @property
    def image(self) -> Path:
        """What would be on the platter."""
        return self.folder.with_suffix(".ext4")

    def _mount(self) -> None:
        with self.image.open("wb") as file:
            file.truncate(_DISK_BYTES)
        run("mkfs.ext4", "-q", "-F", "-O", "^metadata_csum_seed", str(self.image))
        self._attach()

    def _attach(self) -> None:
        run("mount", "-o", "loop,commit=60", str(self.image), str(self.folder))

    def _unmount(self) -> None:
        run("umount", "-l", str(self.folder))

    def cut_power(self) -> None:
        """Go back to what has been flushed, and come up again: whatever was only in the page cache is gone.

        The image is copied while the file system is mounted, before anything else can be written back to it.
        """
        after = self.image.with_suffix(".cut")
        shutil.copyfile(self.image, after)
        run("umount", str(self.folder))
        after.replace(self.image)
        self._attach()

    def break_down(self) -> None:
        """From now on every write fails, as on a dying disk."""
        run("mount", "-o", "remount,abort", str(self.folder))

    def repair(self) -> None:
        """A healthy disk with the same content; nobody may have a file open."""
        run("umount", str(self.folder))
        with suppress(UnavailableError):
            run("fsck.ext4", "-y", str(self.image))
        self._attach()


PLACES: dict[str, type[Place]] = {"folder": Place, "tmpfs": MemoryDisk, "ext4": RealDisk}


def why_no_mounts() -> str:
    """Why file systems cannot be mounted here; empty where they can."""
    return _why_not(MemoryDisk)


def why_no_disks() -> str:
    """Why loop devices cannot be mounted here; empty where they can."""
    return _why_not(RealDisk)


def _why_not(kind: type[Place]) -> str:
    import tempfile  # noqa: PLC0415 - for the trial only

    with tempfile.TemporaryDirectory() as folder:
        try:
            with kind(Path(folder) / "trial"):
                return ""
        except UnavailableError as error:
            return f"no file system may be mounted: {error}"
