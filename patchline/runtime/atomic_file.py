"""Files that are either whole or not there, whenever the power fails."""

import contextlib
import os
from pathlib import Path

from patchline.wire.errors import UnavailableError


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file in one step, on the disk when this returns.

    Raises:
        UnavailableError: The disk is full, failing, or not ours to write.
    """
    beside = path.with_name(path.name + ".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise UnavailableError(f"{path} cannot be written: {error.strerror}") from error
