"""Until when a service runs: a signal ends it, and so does the death of any of its threads."""

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

log = logging.getLogger(__name__)


@dataclass
class ShutdownRequest:
    """Until when the service runs, and what killed it.

    Attributes:
        over: Set when it has to end.
        failure: What the first thread died of, if one did.
    """

    over: threading.Event = field(default_factory=threading.Event)
    failure: BaseException | None = None

    def end(self, *_signal: object) -> None:
        """Ask it to end; a handler of signals."""
        self.over.set()

    def fail(self, failed: threading.ExceptHookArgs) -> None:
        """Note what a thread died of, the first one's, and end."""
        log.critical("thread %s died", failed.thread.name if failed.thread else "?", exc_info=failed.exc_value)
        self.failure = self.failure or failed.exc_value
        self.over.set()


@contextmanager
def shutdown_on_signal_or_failure() -> Iterator[ShutdownRequest]:
    """SIGTERM and SIGINT end the service, and so does a bug in any thread: half a service would look like a whole one.

    Signals can be had in the main thread only; elsewhere, in a test or a demo, they are left alone.
    """
    life = ShutdownRequest()
    hook, threading.excepthook = threading.excepthook, life.fail
    mine = (signal.SIGTERM, signal.SIGINT) if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.signal(number, life.end) for number in mine}
    try:
        yield life
    finally:
        threading.excepthook = hook
        for number, handler in before.items():
            signal.signal(number, handler)
