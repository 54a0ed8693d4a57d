"""Writes the gate's decisions to the outbox, without letting a slow disk hold the gate up."""

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotInTime

from edge_node.outbox.outbox import Outbox
from patchline.wire.errors import UnavailableError

_log = logging.getLogger(__name__)

MISSED = "missed"
_MOST_WAITING = 1024


class GateJournal:
    """Decisions are written one after another on a thread of its own.

    Args:
        outbox: Where they are written.
    """

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="gate-journal")
        self._waiting = 0

    def claim(self, inspection_id: str, action: str, grounds: str, wait_seconds: float) -> bool | None:
        """Write down what the gate is about to do.

        Returns:
            False when another decision stands already; None when nothing is known in time, because the disk is slow,
            full or failing. What could only not be written in time is written later.
        """
        writing = self._submit(inspection_id, action, grounds)
        if writing is None:
            return None
        try:
            return writing.result(max(0.0, wait_seconds))
        except (NotInTime, UnavailableError) as error:
            _log.error("what the gate does is not written down in time: %s", error or "the disk is slow")
            return None

    def note(self, inspection_id: str, action: str, grounds: str) -> None:
        """Write down later what the gate has done already."""
        self._submit(inspection_id, action, grounds)

    def missed(self, inspection_id: str) -> None:
        """Write down later that a decision was not carried out, in the place of the decision."""
        if self._waiting < _MOST_WAITING:
            self._count(self._writer.submit(self._outbox.miss_gate, inspection_id))

    def close(self) -> None:
        """Finish writing."""
        self._writer.shutdown(wait=True)

    def _submit(self, inspection_id: str, action: str, grounds: str) -> "Future[bool] | None":
        if self._waiting >= _MOST_WAITING:
            return None
        return self._count(self._writer.submit(self._outbox.claim_gate, inspection_id, action, grounds))

    def _count(self, writing: "Future[bool]") -> "Future[bool]":
        self._waiting += 1
        writing.add_done_callback(self._written)
        return writing

    def _written(self, writing: "Future[bool]") -> None:
        self._waiting -= 1
        error = writing.exception()
        if isinstance(error, UnavailableError):
            _log.error("what the gate did is not written down: %s", error)
        elif error is not None:
            _log.critical("what the gate did is not written down", exc_info=error)
