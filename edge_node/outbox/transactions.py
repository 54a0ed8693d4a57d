"""Changes of the outbox's database: grouped, durable when they return, and possible even on a full disk."""

import logging
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

from edge_node.outbox.ballast import Ballast
from edge_node.outbox.database import translated
from edge_node.outbox.group_commit import GroupCommit
from patchline.wire.errors import UnavailableError

_log = logging.getLogger(__name__)

T = TypeVar("T")

Work = Callable[[sqlite3.Connection], Any]


class _Change(NamedTuple):
    """A piece of work; what empties the outbox or tells a drop is essential."""

    work: Work
    essential: bool


class _Deferred(NamedTuple):
    """A piece of work the next transaction does first, and who hears that it is done."""

    work: Work
    done: Callable[[], object]


class Transactions:
    """Writes by one connection, in groups. Safe to use from every thread.

    Args:
        connection: Nobody else's.
        path: Its file, for errors.
        ballast: Thrown off when an essential change meets a full disk; other changes wait until it is whole again.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path, ballast: Ballast) -> None:
        self._connection, self._path, self._ballast = connection, path, ballast
        self._deferred: deque[_Deferred] = deque()
        self._group: GroupCommit[_Change, Any] = GroupCommit(self._commit_group)

    def commit(self, work: Callable[[sqlite3.Connection], T], *, essential: bool = False) -> T:
        """Do a piece of work that is on the disk when this returns, and undone when it raises.

        Raises:
            UnavailableError: The disk is full or failing.
        """
        return cast("T", self._group(_Change(work, essential)))

    def defer(self, work: Work, done: Callable[[], object]) -> None:
        """Have a piece of work done first by the next transaction: for what is on the disk elsewhere already."""
        self._deferred.append(_Deferred(work, done))

    @property
    def deferred(self) -> int:
        """How much work is put off."""
        return len(self._deferred)

    def shrink(self) -> None:
        """Give the pages of deleted rows back to the disk.

        Raises:
            UnavailableError: Not even that can be written.
        """
        self._group(_Change(_vacuum, essential=True))

    def _commit_group(self, group: Sequence[_Change]) -> Sequence[Any]:
        if len(group) == 1 and group[0].work is _vacuum:
            with translated(self._path):
                _vacuum(self._connection)
            return [None]
        roomy = self._ballast.hold()
        refused = UnavailableError(f"the disk of the outbox {self._path} is full")
        admitted = [change for change in group if roomy or change.essential]
        outcomes = iter(self._insist(admitted)) if admitted else iter(())
        return [next(outcomes) if roomy or change.essential else refused for change in group]

    def _insist(self, group: Sequence[_Change]) -> list[Any]:
        try:
            return self._transact(group)
        except UnavailableError:
            if not any(change.essential for change in group) or not self._ballast.release():
                raise
        _log.warning("the disk of the outbox %s is full: nothing is captured until it is emptied", self._path)
        return self._transact(group)

    def _transact(self, group: Sequence[_Change]) -> list[Any]:
        deferred = list(self._deferred)
        with translated(self._path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                for each in deferred:
                    each.work(self._connection)
                outcomes = [self._attempt(change) for change in group]
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        for each in deferred:
            self._deferred.popleft()
            each.done()
        return outcomes

    def _attempt(self, change: _Change) -> Any:
        """One change of a group; when it is refused, the others stand."""
        self._connection.execute("SAVEPOINT change")
        try:
            outcome = change.work(self._connection)
        except (UnavailableError, sqlite3.IntegrityError) as error:
            self._connection.execute("ROLLBACK TO change")
            outcome = error
        self._connection.execute("RELEASE change")
        return outcome


def _vacuum(connection: sqlite3.Connection) -> None:
    if not connection.in_transaction:
        connection.execute("PRAGMA incremental_vacuum").fetchall()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
