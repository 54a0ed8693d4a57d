"""Carries out the gate's decisions in time, on a thread of its own: a slow gate delays no decision."""

import heapq
import itertools
import logging
import threading
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from edge_node.gate.gate_journal import MISSED, GateJournal
from edge_node.gate.gates.protocol import Gate
from edge_node.metrics import EdgeMetrics
from patchline.wire.errors import UnavailableError
from patchline.wire.messages import GateCommand

_log = logging.getLogger(__name__)

_MOST_COMMANDS = 256
_REPEAT_SECONDS = 0.05


class _Move(NamedTuple):
    """A command, when it is due, and when its part has gone by."""

    due: float
    order: int
    command: GateCommand
    until: float
    attempts: int = 0


class Actuator:
    """A bounded queue of commands.

    Args:
        gate: What moves.
        journal: Where a command that came too late is noted.
        metrics: Where actions are counted.
        clock: Monotonic seconds.
    """

    def __init__(self, gate: Gate, journal: GateJournal, metrics: EdgeMetrics, clock: Callable[[], float]) -> None:
        self._gate, self._journal, self._metrics, self._clock = gate, journal, metrics, clock
        self._changed = threading.Condition()
        self._moves: list[_Move] = []
        self._order = itertools.count()

    def __len__(self) -> int:
        with self._changed:
            return len(self._moves)

    def put(self, command: GateCommand, until: float) -> None:
        """Carry a command out soon, and not after a moment of the monotonic clock."""
        if not self._put(_Move(self._clock(), next(self._order), command, until)):
            self.miss(command, "too many commands wait")

    def run(self, stop: threading.Event) -> None:
        """Carry commands out until stopped; a set `stop` is noticed at the next `wake`."""
        while not stop.is_set():
            move = self._next(stop)
            if move is not None:
                with self._metrics.watchdog.working("actuator"):
                    self._carry_out(move)

    def finish(self) -> None:
        """After `run`: carry out what still waits, once."""
        with self._changed:
            moves, self._moves = self._moves, []
        for move in sorted(moves):
            self._carry_out(move)

    def wake(self) -> None:
        """Let `run` look at its `stop`."""
        with self._changed:
            self._changed.notify_all()

    def miss(self, command: GateCommand, reason: str) -> None:
        """Note that the gate does not act on a part, because the part has gone by."""
        _log.error("the gate does not act on part %s: %s", command.part_id, reason)
        self._metrics.gate_actions.labels("none", MISSED).inc()
        self._journal.missed(command.inspection_id)

    def _put(self, move: _Move) -> bool:
        with self._changed:
            if len(self._moves) >= _MOST_COMMANDS:
                return False
            heapq.heappush(self._moves, move)
            self._changed.notify()
            return True

    def _next(self, stop: threading.Event) -> _Move | None:
        with self._changed:
            if stop.is_set():
                return None
            wait_seconds = self._moves[0].due - self._clock() if self._moves else None
            if wait_seconds is None or wait_seconds > 0:
                self._changed.wait(wait_seconds)
                return None
            return heapq.heappop(self._moves)

    def _carry_out(self, move: _Move) -> None:
        command, left = move.command, move.until - self._clock()
        if left < 0:
            if move.attempts:
                self._fail(command, "it could not be reached in time")
            else:
                self.miss(command, "its time was over before the gate could act")
            return
        if not move.attempts:
            self._metrics.gate_actions.labels(command.action, command.grounds).inc()
        try:
            timed = msgspec.structs.replace(command, valid_ms=int(left * 1000))
            self._gate.act(timed, left, lambda reason: self._again(move, reason))
        except UnavailableError as error:
            self._again(move, str(error))

    def _again(self, move: _Move, reason: str) -> None:
        """A command did not reach the gate: give it again, where a repetition of it does no harm."""
        due = self._clock() + _REPEAT_SECONDS
        if self._gate.repeats and self._put(move._replace(due=due, attempts=move.attempts + 1)):
            _log.debug("the command for part %s is given again: %s", move.command.part_id, reason)
        else:
            self._fail(move.command, reason)

    def _fail(self, command: GateCommand, reason: str) -> None:
        _log.error("gate did not %s part %s: %s", command.action, command.part_id, reason)
        self._metrics.gate_failures.inc()
