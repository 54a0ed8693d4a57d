"""The highest sequence number given out, kept outside of the database, so that no number is used twice."""

import os
from contextlib import suppress
from pathlib import Path

_STEP = 16
"""The mark is flushed to the disk at each multiple of this, so after a power cut it is behind by less than this."""


def note(descriptor: int, number: int) -> None:
    """Write the number to the lock file. An error is ignored: the database holds the number too."""
    with suppress(OSError):
        os.pwrite(descriptor, b"%020d\n" % number, 0)
        if number % _STEP == 0:
            os.fdatasync(descriptor)


def read(path: Path) -> int:
    """A number that no number given out exceeds, from the lock file of an outbox; 0 where there is none."""
    with suppress(OSError, ValueError):
        noted = path.with_name(path.name + ".lock").read_bytes()[:20]
        return int(noted) + _STEP if noted else 0
    return 0
