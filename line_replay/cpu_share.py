"""A slower computer: a control group that gives a process a share of one core, whatever it does."""

import contextlib
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from wire_contract.errors import UnavailableError

ROOT = Path("/sys/fs/cgroup")
_PERIOD_MICROSECONDS = 10_000
"""Short, so that a stage of a few milliseconds is stretched too; the kernel's own 100 ms would let it pass whole."""


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
        quota = max(1000, round(_PERIOD_MICROSECONDS / slowdown))
        if (root / "cgroup.controllers").is_file():
            self._group = root / f"patchline-{name}"
            self._limits = {"cpu.max": f"{quota} {_PERIOD_MICROSECONDS}"}
            self.way = f"cgroup v2 cpu.max ({quota} of every {_PERIOD_MICROSECONDS} us of one core)"
        else:
            self._group = root / "cpu" / f"patchline-{name}"
            self._limits = {"cpu.cfs_period_us": str(_PERIOD_MICROSECONDS), "cpu.cfs_quota_us": str(quota)}
            self.way = f"cgroup v1 cpu.cfs_quota_us ({quota} of every {_PERIOD_MICROSECONDS} us of one core)"

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
