"""Which broker carried a run, by name and version."""

import subprocess
from importlib import metadata

from patchline.replay.broker import BrokerKind, find_mosquitto

_PATIENCE_SECONDS = 5.0


def broker_version(kind: BrokerKind) -> str:
    """Such as `mosquitto 2.0.11`; the name alone where the version cannot be learnt."""
    try:
        version = metadata.version("amqtt") if kind == "amqtt" else _mosquitto_version()
    except (OSError, subprocess.SubprocessError, metadata.PackageNotFoundError, IndexError):
        return kind
    return f"{kind} {version}"


def _mosquitto_version() -> str:
    command = [find_mosquitto() or "mosquitto", "-h"]
    told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_PATIENCE_SECONDS)  # noqa: S603 - our own argument list
    return told.stdout.split("version", 1)[1].split()[0]
