"""A ready configuration for a broker on this machine."""

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from patchline.wire.errors import MisconfiguredError, UnavailableError

_HIGHEST_PORT = 65_535


def write_configuration(directory: Path, port: int, addresses: Sequence[str] = ()) -> Path:
    """Write a Mosquitto configuration that listens on loopback only, without names or TLS.

    Args:
        directory: Where to write `mosquitto.conf`; made if it is missing.
        port: The TCP port to listen on.
        addresses: Of this machine's own, to listen on beside loopback: those of the wires to simulated stations.

    Returns:
        The file to give to `mosquitto -c`.

    Raises:
        MisconfiguredError: There is no such port.
        UnavailableError: The file cannot be written.
    """
    if not 1 <= port <= _HIGHEST_PORT:
        raise MisconfiguredError(f"{port} is not a TCP port", remedy=f"use 1 to {_HIGHEST_PORT}")
    template = files("broker_config").joinpath("demo.conf").read_text(encoding="utf-8")
    content = template.replace("{port}", str(port))
    content += "".join(f"listener {port} {address}\n" for address in addresses)
    path = directory / "mosquitto.conf"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    except OSError as error:
        raise UnavailableError(f"the broker's configuration cannot be written to {path}: {error}") from error
    return path
