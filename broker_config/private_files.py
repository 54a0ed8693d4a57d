"""Files of a site: written whole or not at all, and keys for their owner's eyes only from their first byte on."""

from pathlib import Path

from patchline.runtime.atomic_file import write_atomically
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
    write_atomically(path, content, mode=PRIVATE_MODE if private else PUBLIC_MODE, owner_of_folder=True)


def private_folder(path: Path, mode: int = PRIVATE_FOLDER_MODE) -> None:
    """Make a folder that only its owner may read; with `PASSAGE_MODE` others may pass through it.

    Raises:
        UnavailableError: The disk does not take it.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(mode)
    except OSError as error:
        raise UnavailableError(f"the folder {path} cannot be made: {error.strerror}") from error
