"""Named threads of which none may die unnoticed."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_log = logging.getLogger(__name__)


class ThreadGroup:
    """Starts threads; when one ends with an exception, all is asked to stop, and its owner raises it again.

    Args:
        on_failure: Asks everything to stop.
    """

    def __init__(self, on_failure: Callable[[], None]) -> None:
        self._on_failure = on_failure
        self._threads: list[threading.Thread] = []
        self._failure: BaseException | None = None

    def start(self, name: str, work: Callable[[], None]) -> threading.Thread:
        """Run `work` in a thread called `name`."""
        thread = threading.Thread(target=work, name=name)
        self._threads.append(thread)
        thread.start()
        return thread

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Within the block, the exception of any thread of the process is a failure of the crew."""

        def failed(failure: threading.ExceptHookArgs) -> None:
            name = failure.thread.name if failure.thread else "a thread"
            _log.critical("%s failed, stopping", name, exc_info=failure.exc_value)
            self._failure = self._failure or failure.exc_value
            self._on_failure()

        before = threading.excepthook
        threading.excepthook = failed
        try:
            yield
        finally:
            threading.excepthook = before

    def ended(self, *, may_end: frozenset[str]) -> list[str]:
        """A sentence for each thread that is over, but for those that may come to an end."""
        return [
            f"the {thread.name} has ended"
            for thread in self._threads
            if not thread.is_alive() and thread.name not in may_end
        ]

    def join(self) -> None:
        """Wait for all threads."""
        for thread in self._threads:
            thread.join()

    def raise_failure(self) -> None:
        """Raise what the first failed thread failed with, if one did."""
        if self._failure is not None:
            raise self._failure
