"""Files that are either whole or not there, also after a power cut."""

import contextlib
import os
import threading
from pathlib import Path

from patchline.wire.errors import UnavailableError

_USUAL_MODE = 0o666
"""What `open` asks for; the process's umask takes bits away."""


def write_atomically(path: Path, content: bytes, *, mode: int | None = None, owner_of_folder: bool = False) -> None:
    """Replace a file in one step, and make the folders above it; it is on the disk when this returns.

    Args:
        path: The file.
        content: All of it.
        mode: The permissions, from the first byte on; None leaves them to the process's umask.
        owner_of_folder: Written by root, the file belongs to the owner of its folder.

    Raises:
        UnavailableError: The disk is full, failing, or must not be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _USUAL_MODE if mode is None else mode)
        with os.fdopen(descriptor, "wb") as file:
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            if owner_of_folder:
                _give_to_owner_of(path.parent, file.fileno())
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise UnavailableError(f"{path} cannot be written: {error.strerror}; make room, or write elsewhere") from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _give_to_owner_of(folder: Path, file: int) -> None:
    owner = folder.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        os.fchown(file, owner.st_uid, owner.st_gid)
