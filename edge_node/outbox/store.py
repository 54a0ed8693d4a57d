"""The open file of the outbox: one thread writes at a time, every step is one durable transaction.

The write-ahead log is copied into the file (a checkpoint) by a thread of its own. It copies nearly everything while
others go on writing; only the last part needs them to wait. A full disk, a file that is gone and a damaged file are
handled here.
"""

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from copy import copy
from pathlib import Path
from typing import TypeVar

from edge_node.outbox import database, number_mark
from edge_node.outbox.database import DamagedError, DiskError, translated
from edge_node.outbox.open_file import OpenFile
from edge_node.outbox.reserved_space import ReservedSpace
from edge_node.outbox.steps import Totals
from patchline.wire.errors import MisconfiguredError, UnavailableError

_log = logging.getLogger(__name__)

T = TypeVar("T")

Work = Callable[[sqlite3.Connection, Totals], T]

_RESERVED_BYTES = 4 * 1024 * 1024
_CHECKPOINT_BYTES = 32 * 1024 * 1024
"""How much is written between two checkpoints. Fewer checkpoints write less and keep the gate waiting less often."""
_QUIET_WAIT_SECONDS = 0.5
"""A checkpoint makes others wait right after a gate's claim: the next claim is then likely to be a while off."""
_STEP_BYTES = 16 * 1024
"""About what a step writes beside its message."""


class _Turn:
    """Lets one thread in at a time; urgent ones first."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._taken = False
        self._urgent = 0

    @contextmanager
    def __call__(self, *, urgent: bool = False) -> Iterator[None]:
        with self._changed:
            self._urgent += urgent
            self._changed.wait_for(lambda: not self._taken and (urgent or not self._urgent))
            self._urgent -= urgent
            self._taken = True
        try:
            yield
        finally:
            with self._changed:
                self._taken = False
                self._changed.notify_all()


class Store:
    """Reads and writes the file. Safe to use from every thread.

    Args:
        path: The file.
        station: Its owner.

    Attributes:
        set_aside: How many damaged files were set aside.

    Raises:
        MisconfiguredError: The file is another station's, of another patchline, or no outbox.
        UnavailableError: The disk is full or failing.
    """

    def __init__(self, path: Path, station: str) -> None:
        self._path, self._station = path, station
        self._turn, self._reading = _Turn(), threading.Lock()
        self._space = ReservedSpace(path.with_name(path.name + ".reserved"), _RESERVED_BYTES)
        self.set_aside = 0
        try:
            self._file = self._opened()
        except DamagedError as error:
            if not database.is_ours(path):
                raise
            self._file = self._begin_anew(error, 0)
        self._written = 0
        self._due, self._urgent_done, self._closed = threading.Event(), threading.Event(), False
        self._thread = threading.Thread(target=self._checkpoints, name="outbox checkpoints", daemon=True)
        self._thread.start()

    @property
    def totals(self) -> Totals:
        """All open rows, added up."""
        return self._file.totals

    def is_in_place(self) -> bool:
        """Whether the file is still where it was opened."""
        return self._file.is_in_place()

    def write(self, work: Work[T], *, size: int = 0, essential: bool = False, urgent: bool = False) -> T:
        """Do a step that is on the disk when this returns, and undone when it raises.

        Args:
            work: The step.
            size: Bytes of its message.
            essential: It may use the reserved space of a full disk, because it empties the outbox or records a drop.
            urgent: Other steps wait for it.

        Raises:
            UnavailableError: The disk is full or failing, or the file was deleted or replaced.
        """
        with self._turn(urgent=urgent):
            try:
                outcome = self._insist(work, essential=essential)
            except DamagedError as error:
                self._replace_file(error)
                outcome = self._insist(work, essential=essential)
            self._written += size + _STEP_BYTES
        if self._written > _CHECKPOINT_BYTES:
            self._due.set()
        if urgent:
            self._urgent_done.set()
        return outcome

    def read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Read what is committed, while others write.

        Raises:
            UnavailableError: The disk is failing.
        """
        with self._reading:
            file = self._file
            try:
                with translated(self._path):
                    return query(file.reader)
            except DamagedError as error:
                damage = error
        with self._turn(urgent=True):
            if self._file is file:
                self._replace_file(damage)
            with self._reading, translated(self._path):
                return query(self._file.reader)

    def close(self) -> None:
        """Close the file; repeating it does nothing."""
        if not self._closed:
            self._closed = True
            self._due.set()
            self._urgent_done.set()
            self._thread.join()
            with self._turn(), self._reading:
                self._file.close()

    def _insist(self, work: Work[T], *, essential: bool) -> T:
        """Do a step; on a full disk reuse the write-ahead log's space first, then, if essential, the reserved one."""
        if not essential and not self._space.hold():
            self._file.checkpoint("TRUNCATE")
            if not self._space.hold():
                raise DiskError(f"the disk of the outbox {self._path} is full")
        try:
            return self._transact(work)
        except DiskError:
            with suppress(DiskError):
                self._file.checkpoint("RESTART")
        try:
            return self._transact(work)
        except DiskError:
            if not essential or not self._space.release():
                raise
        _log.warning("the disk of the outbox %s is full: nothing is captured until it is emptied", self._path)
        return self._transact(work)

    def _transact(self, work: Work[T]) -> T:
        self._look_for_file()
        file, totals = self._file, copy(self._file.totals)
        with translated(self._path):
            file.writer.execute("BEGIN IMMEDIATE")
            try:
                outcome = work(file.writer, totals)
                file.allocate()
                file.writer.execute("COMMIT")
            except BaseException:
                if file.writer.in_transaction:
                    file.writer.execute("ROLLBACK")
                raise
        file.totals = totals
        self._look_for_file()
        return outcome

    def _look_for_file(self) -> None:
        if not self._file.is_in_place():
            raise UnavailableError(
                f"the outbox {self._path} was deleted or replaced while the edge node runs; restart it"
            )

    def _opened(self, last: int = 0) -> OpenFile:
        """Open the file; its disk may have been full already when the last boot ended."""
        try:
            return OpenFile(self._path, self._station, last)
        except DiskError:
            self._space.release()
            return OpenFile(self._path, self._station, last)

    def _replace_file(self, error: DamagedError) -> None:
        """Set the damaged file aside; no other thread writes or reads."""
        self._look_for_file()
        old = self._file
        with self._reading:
            self._file = self._begin_anew(error, old.totals.last)
            old.close()

    def _begin_anew(self, error: DamagedError, last: int) -> OpenFile:
        aside = database.set_aside(self._path)
        last = max(last, database.last_number_in(aside) or number_mark.read(self._path))
        _log.error("%s; it is set aside as %s, numbers go on after %d", error, aside.name, last)
        file = self._opened(last)
        file.totals.lost_to = last
        self.set_aside += 1
        return file

    def _checkpoints(self) -> None:
        while not self._closed:
            self._due.wait()
            try:
                if not self._closed and self._file.is_in_place():
                    self._file.checkpoint_beside_others()
                    self._urgent_done.clear()
                    self._urgent_done.wait(_QUIET_WAIT_SECONDS)
                    with self._turn(urgent=True):
                        self._file.checkpoint("PASSIVE")
            except (UnavailableError, MisconfiguredError) as error:
                _log.warning("outbox %s: no checkpoint now: %s", self._path, error)
            self._written = 0
            self._due.clear()
