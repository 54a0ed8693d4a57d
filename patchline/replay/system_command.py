"""Programs of the operating system that set up networks and disks."""

import subprocess

from patchline.wire.errors import UnavailableError


def run(*command: str) -> str:
    """Run one to its end; what it printed.

    Raises:
        UnavailableError: It is not there, or it fails.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own arguments
    except OSError as error:
        raise UnavailableError(f"{command[0]} cannot be run: {error.strerror}") from error
    if done.returncode:
        raise UnavailableError(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")
    return done.stdout
