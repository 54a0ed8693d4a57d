"""A slower computer without control groups: a process is stopped and continued by signals, a few times a second."""

import os
import signal
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

from patchline.wire.errors import MisconfiguredError, UnavailableError

_RUN_SECONDS = 0.005
"""How long a process runs between two pauses. A shorter time would be lost in the scheduling of this process."""


class DutyCycle:
    """Lets processes run for one part of the time only. Use it by `with`; at its end they run freely.

    Args:
        slowdown: How many times slower than this machine.

    Attributes:
        way: How it is done, for the report.

    Raises:
        MisconfiguredError: This system has no process file descriptors (Linux 5.3 has them).
    """

    def __init__(self, slowdown: float) -> None:
        if not hasattr(signal, "pidfd_send_signal"):
            raise MisconfiguredError("this system cannot slow a process down", remedy="leave out --edge-slowdown")
        self._pause_seconds = _RUN_SECONDS * (slowdown - 1.0)
        self._ended = threading.Event()
        self._threads: list[threading.Thread] = []
        self.way = (
            f"a duty cycle of signals ({_RUN_SECONDS * 1e3:g} ms running, {self._pause_seconds * 1e3:g} ms stopped)"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def take(self, process: int) -> None:
        """Slow a process down, until it or this ends.

        Raises:
            UnavailableError: The process is gone.
        """
        try:
            descriptor = os.pidfd_open(process)
        except OSError as error:
            raise UnavailableError(f"process {process} cannot be slowed down: {error.strerror}") from error
        thread = threading.Thread(target=self._pace, args=(descriptor,), name=f"duty-cycle-{process}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _pace(self, descriptor: int) -> None:
        """A descriptor names this process only, also after its id was given to another one."""
        try:
            with suppress(ProcessLookupError):
                while not self._ended.wait(_RUN_SECONDS):
                    signal.pidfd_send_signal(descriptor, signal.SIGSTOP)
                    self._ended.wait(self._pause_seconds)
                    signal.pidfd_send_signal(descriptor, signal.SIGCONT)
        finally:
            os.close(descriptor)
