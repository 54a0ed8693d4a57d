"""A slower computer: a control group that gives a process a share of one core, whatever it does."""

import contextlib
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from patchline.wire.errors import UnavailableError

ROOT = Path("/sys/fs/cgroup")
_QUOTA_MICROSECONDS = 1_000
"""The least the kernel takes: what a process that has rested may do before it is held back. Measured at a third of a
core: with 3.3 of every 10 ms, 2 ms of work passed unhindered; with 1 of every 3 ms, they took 5.6 ms."""


class CpuShare:
    """A control group with a quota; made by `with`, and gone after it.

    Args:
        name: Unique on this machine.
        slowdown: How many times slower than one core of this machine.
        root: Where control groups are mounted.

    Attributes:
        way: How it is done, for the report.
    """

    def __init__(self, name: str, slowdown: float, *, root: Path = ROOT) -> None:
        quota, period = _QUOTA_MICROSECONDS, round(_QUOTA_MICROSECONDS * slowdown)
        if (root / "cgroup.controllers").is_file():
            self._group = root / f"patchline-{name}"
            self._limits = {"cpu.max": f"{quota} {period}"}
            self.way = f"cgroup v2 cpu.max ({quota} of every {period} us of one core)"
        else:
            self._group = root / "cpu" / f"patchline-{name}"
            self._limits = {"cpu.cfs_period_us": str(period), "cpu.cfs_quota_us": str(quota)}
            self.way = f"cgroup v1 cpu.cfs_quota_us ({quota} of every {period} us of one core)"

    def __enter__(self) -> Self:
        try:
            self._group.mkdir()
            for file, value in self._limits.items():
                (self._group / file).write_text(value, encoding="ascii")
        except OSError as error:
            self._remove()
            raise UnavailableError(f"{self._group} cannot be used: {error.strerror}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    def take(self, process: int) -> None:
        """Put a process and all its threads into the group.

        Raises:
            UnavailableError: The kernel refuses, or the process is gone.
        """
        try:
            (self._group / "cgroup.procs").write_text(str(process), encoding="ascii")
        except OSError as error:
            raise UnavailableError(f"process {process} cannot be throttled: {error.strerror}") from error

    def _remove(self) -> None:
        with contextlib.suppress(OSError):
            self._group.rmdir()


def why_not(*, root: Path = ROOT) -> str:
    """Why this machine cannot have such groups; empty where it can. Tries it, and leaves nothing behind."""
    try:
        with CpuShare(f"{os.getpid()}-trial", 2.0, root=root):
            return ""
    except UnavailableError as error:
        return str(error)
