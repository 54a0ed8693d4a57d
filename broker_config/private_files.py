"""Files of a site: written whole or not at all, and keys for their owner's eyes only from their first byte on."""

import os
from contextlib import suppress
from pathlib import Path

from patchline.wire.errors import UnavailableError

PRIVATE_MODE = 0o600
PUBLIC_MODE = 0o644
PRIVATE_FOLDER_MODE = 0o700
PASSAGE_MODE = 0o711
"""Others may go through to a folder they know and own, such as the broker's user, and see no names on the way."""


def write(path: Path, content: bytes, *, private: bool = False) -> None:
    """Replace a file, and make the folders above it. It belongs to the owner of its folder, where we may say so.

    So what was given to the broker's user stays readable to it when root revokes a certificate or adds a station.

    Args:
        path: The file.
        content: All of it.
        private: Nobody but the owner may read it; there is no moment at which somebody else could.

    Raises:
        UnavailableError: The disk does not take it.
    """
    mode = PRIVATE_MODE if private else PUBLIC_MODE
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            os.fchmod(file.fileno(), mode)
            _give_to_owner_of(path.parent, file.fileno())
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise UnavailableError(f"{path} cannot be written: {error.strerror}") from error


def private_folder(path: Path, mode: int = PRIVATE_FOLDER_MODE) -> None:
    """Make a folder that nobody but its owner may look into; with `PASSAGE_MODE` others may go through.

    Raises:
        UnavailableError: The disk does not take it.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(mode)
    except OSError as error:
        raise UnavailableError(f"the folder {path} cannot be made: {error.strerror}") from error


def _give_to_owner_of(folder: Path, file: int) -> None:
    owner = folder.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        os.fchown(file, owner.st_uid, owner.st_gid)
