"""The line's programs as real processes, each with a log of its own; started, watched, killed and brought back."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from patchline.wire.errors import EXIT_MISCONFIGURED, MisconfiguredError, UnavailableError

_STOP_SECONDS = 10.0
_SETTINGS_PREFIXES = ("PATCHLINE_EDGE_", "PATCHLINE_ANALYTICS_")
"""Variables that go before a settings file; a simulated line is told everything by its files."""
_LOG_LINES = 3


class Program:
    """One program of the line.

    Args:
        name: What to call it, and its log.
        arguments: What follows `python -m MODULE`.
        log: Where it writes; appended to across restarts.
        environment: Variables beside this process's own.
        module: Which program; `patchline` unless given.
        prefix: A command that runs another one in its own place, such as `ip netns exec NAME`.
        on_started: Told the id of every process started.
    """

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        log: Path,
        environment: Mapping[str, str] | None = None,
        *,
        module: str = "patchline",
        prefix: Sequence[str] = (),
        on_started: Callable[[int], None] | None = None,
    ) -> None:
        self.name, self.log = name, log
        self._command = [*prefix, sys.executable, "-m", module, *arguments]
        self._on_started = on_started
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_SETTINGS_PREFIXES)}
        self.environment = {**kept, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, again if it has ended or been killed; in a session of its own, so that Ctrl-C ends us first."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own argument list
                self._command,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=self.environment,
                start_new_session=True,
            )
        if self._on_started is not None:
            self._on_started(self._process.pid)

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it runs or before it is started."""
        return None if self._process is None else self._process.poll()

    @property
    def process_id(self) -> int:
        """Of the process started last.

        Raises:
            UnavailableError: None was.
        """
        if self._process is None:
            raise UnavailableError(f"{self.name} has not been started")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, such as SIGSTOP; nothing where it has ended."""
        if self.running and self._process is not None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """End it as a power cut would, without a word."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """Ask it to end, and end it when it does not."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def last_words(self) -> str:
        """The end of its log, on one line."""
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").split("\n")
        except OSError:
            return "no log"
        return " / ".join(line.strip() for line in [line for line in lines if line.strip()][-_LOG_LINES:])

    def check_settings(self) -> None:
        """Make sure it has not refused its settings.

        Raises:
            MisconfiguredError: It has.
        """
        if self.exit_code == EXIT_MISCONFIGURED:
            raise MisconfiguredError(f"{self.name} refused its settings: {self.last_words()}", where=str(self.log))

    def check(self) -> None:
        """Make sure it has not failed.

        Raises:
            MisconfiguredError: It refused its settings.
            UnavailableError: It ended with another error.
        """
        self.check_settings()
        if self.exit_code not in {None, 0}:
            raise UnavailableError(f"{self.name} ended with code {self.exit_code}: {self.last_words()} ({self.log})")
