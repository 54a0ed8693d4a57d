"""Named threads, of which none may end unnoticed, and the signals that stop a program."""

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_log = logging.getLogger(__name__)

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""SIGHUP comes when a terminal closes; a program that does not handle it ends without its orderly stop."""


class ThreadGroup:
    """Starts threads; when one ends with an exception, the program is asked to stop, and its owner raises it again.

    Args:
        on_failure: Asks everything to stop.
    """

    def __init__(self, on_failure: Callable[[], None]) -> None:
        self._on_failure = on_failure
        self._threads: list[threading.Thread] = []
        self._failure: BaseException | None = None

    def start(self, name: str, work: Callable[[], None]) -> threading.Thread:
        """Run `work` in a thread called `name`."""
        thread = threading.Thread(target=work, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Within the block, the exception of any thread of the process is a failure of the group."""
        before, threading.excepthook = threading.excepthook, self._failed
        try:
            yield
        finally:
            threading.excepthook = before

    @property
    def started(self) -> bool:
        """Whether any thread was started."""
        return bool(self._threads)

    def ended(self, *, may_end: frozenset[str] = frozenset()) -> list[str]:
        """A sentence for each thread that is over, but for those that may come to an end."""
        return [
            f"the {thread.name} has ended"
            for thread in self._threads
            if not thread.is_alive() and thread.name not in may_end
        ]

    def join(self, timeout_seconds: float | None = None) -> None:
        """Wait for all threads, for each no longer than the timeout."""
        for thread in self._threads:
            thread.join(timeout_seconds)

    def raise_failure(self) -> None:
        """Raise the exception of the first thread that failed, if one did."""
        if self._failure is not None:
            raise self._failure

    def _failed(self, failure: threading.ExceptHookArgs) -> None:
        name = failure.thread.name if failure.thread else "a thread"
        _log.critical("%s failed, stopping", name, exc_info=failure.exc_value)
        self._failure = self._failure or failure.exc_value
        self._on_failure()


@contextmanager
def stopped_by_signals(stop: threading.Event) -> Iterator[None]:
    """Within the block, the first SIGTERM, SIGINT or SIGHUP sets `stop`; a second one has its usual effect.

    A signal that is ignored stays ignored (`nohup`). Only the main thread can handle signals: in another thread, as in
    a test or the demo, nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}

    def received(number: int, _: FrameType | None) -> None:
        _log.info("%s received, stopping", signal.Signals(number).name)
        signal.signal(number, before[signal.Signals(number)])
        stop.set()

    handled = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    for number in handled:
        signal.signal(number, received)
    try:
        yield
    finally:
        for number in handled:
            signal.signal(number, before[number])
