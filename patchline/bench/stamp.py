"""What a measured figure depends on: the machine, the versions, the commit and the seed."""

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

PACKAGES = ("patchline", "numpy", "onnxruntime", "pillow", "paho-mqtt", "msgspec", "safetensors", "faiss-cpu", "torch")
"""The packages that a figure of ours may depend on; those that are not installed are left out."""


@dataclass(frozen=True, kw_only=True)
class Stamp:
    """Written beside every figure, so that a reader can tell what it was measured on.

    Attributes:
        machine: Processor, cores, memory and operating system.
        versions: Package name -> version, Python's and the broker's among them.
        commit: The commit of the checkout the code ran from, `-dirty` if it was changed; None outside a checkout.
        seed: Of everything drawn at random.
    """

    machine: dict[str, str | int]
    versions: dict[str, str]
    commit: str | None
    seed: int


def stamp(*, seed: int, broker: str | None = None) -> Stamp:
    """Describe this machine and this checkout.

    Args:
        seed: The run's seed.
        broker: The broker's name and version, where one took part.
    """
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    if broker is not None:
        versions["broker"] = broker
    return Stamp(machine=_machine(), versions=versions, commit=_commit(), seed=seed)


def _machine() -> dict[str, str | int]:
    machine: dict[str, str | int] = {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "system": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine(),
    }
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        machine["memory_bytes"] = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return machine


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() in {"model name", "Model"}:
            return value.strip()
    return platform.processor() or "unknown"


def _commit() -> str | None:
    git = shutil.which("git")
    if git is None:
        return None
    try:
        head = _output(git, "rev-parse", "--short=12", "HEAD")
        changed = _output(git, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{head}-dirty" if changed else head


def _output(*command: str) -> str:
    here = Path(__file__).resolve().parent
    return subprocess.run(command, cwd=here, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603 - git
