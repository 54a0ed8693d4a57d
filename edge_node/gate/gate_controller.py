"""Decides when the reject gate fires: at most once per part, in time, and journalled before it acts.

How it fails, each on the safe side: a verdict that cannot be written in time is obeyed all the same, and so is the
default at the deadline when the disk does not answer, since a part that nobody judged must not pass. A decision whose
time is over is `missed` and counted: the gate would act on another part.
"""

import heapq
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from edge_node.gate.actuator import Actuator
from edge_node.gate.gate_journal import MISSED, GateJournal
from edge_node.gate.gate_policy import Action, GatePolicy
from edge_node.gate.gates.protocol import Gate
from edge_node.metrics import EdgeMetrics
from edge_node.outbox.outbox import Outbox
from edge_node.outbox.rows import Row, Trigger
from patchline.wire.messages import GateCommand, Verdict

_MOST_DECIDED = 4096
_WRITING_SHARE = 0.75
"""Share of the tolerance after the deadline that a default waits for being written down."""


@dataclass
class _Part:
    """A part whose gate has not acted yet."""

    inspection_id: str
    part_id: str
    captured_at: float
    deadline: float
    row: Row | None = None
    command: GateCommand | None = None
    """What its verdict wants, while that is being written down."""
    deciding: bool = False


class GateController:
    """Watches each part from its trigger; whichever comes first, its verdict or its deadline, moves the gate.

    Args:
        gate: What moves.
        outbox: Where an action is written down first.
        station: Named in every command.
        policy: How to decide.
        metrics: Where actions are counted.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        gate: Gate,
        outbox: Outbox,
        station: str,
        policy: GatePolicy,
        metrics: EdgeMetrics,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._outbox, self._station, self._policy = outbox, station, policy
        self._metrics, self._clock = metrics, clock
        self._journal = GateJournal(outbox)
        self._actuator = Actuator(gate, self._journal, metrics, clock)
        self._changed = threading.Condition()
        self._parts: dict[str, _Part] = {}
        self._deadlines: list[tuple[float, str]] = []
        self._decided: OrderedDict[str, tuple[str, str]] = OrderedDict()
        """What was decided on parts that had no number yet."""

    def expect(self, trigger: Trigger) -> None:
        """A part arrived, and its deadline runs, although its number may not be on the disk yet."""
        with self._changed:
            known = trigger.inspection_id in self._parts or trigger.inspection_id in self._decided
            if not known:
                self._add(trigger.inspection_id, trigger.part_id or "", trigger.captured_at, trigger.captured_monotonic)

    def watch(self, row: Row) -> None:
        """A part has its number. Repeating this forgets a verdict that could not be written down."""
        with self._changed:
            decided = self._decided.pop(row.inspection_id, None)
            if decided is None:
                part = self._parts.get(row.inspection_id)
                if part is None or part.command is not None:
                    part = self._add(row.inspection_id, row.part_id, row.captured_at, row.captured_monotonic)
                part.row, part.part_id = row, row.part_id
        if decided is not None:
            self._journal.note(row.inspection_id, *decided)

    def settle(self, row: Row, clock_id: str) -> None:
        """A row of an earlier boot: watch it if its deadline is still ahead, else write down that it was missed."""
        if row.gate_grounds:
            return
        if row.clock_id == clock_id and row.captured_monotonic + self._policy.deadline_seconds > self._clock():
            self.watch(row)
        elif self._outbox.claim_gate(row.inspection_id, "", MISSED):
            self._metrics.gate_actions.labels("none", MISSED).inc()

    def settle_closed(self) -> None:
        """Parts that an earlier boot closed before their deadline, as drops are, and did not live to act at it."""
        self._metrics.gate_actions.labels("none", MISSED).inc(self._outbox.miss_gates())

    def judge(self, row: Row, verdict: Verdict, received_at: float) -> GateCommand | None:
        """What a verdict that came in time lets the gate do; None when it is historical, late, or already decided.

        The caller writes the action down, then calls `carry_out`.
        """
        if verdict.historical or received_at > row.captured_monotonic + self._policy.deadline_seconds:
            return None
        with self._changed:
            part = self._parts.get(row.inspection_id)
            if part is None or part.command is not None or part.deciding:
                return None
            part.part_id = row.part_id
            part.command = self._command(part, self._policy.action(verdict.outcome), "verdict", verdict.outcome)
            return part.command

    @property
    def watching(self) -> int:
        """How many parts have neither verdict nor deadline behind them, or a command that waits to be carried out."""
        with self._changed:
            return len(self._parts) + len(self._actuator)

    def carry_out(self, command: GateCommand) -> None:
        """Move the gate, on the actuator's thread; the action has been written down."""
        with self._changed:
            part = self._parts.pop(command.inspection_id, None)
        if part is not None:
            self._actuator.put(command, self._until(part))

    def run(self, stop: threading.Event) -> None:
        """Decide at deadlines, and move the gate, until stopped; a set `stop` is noticed at the next `wake`."""
        actuator = threading.Thread(target=self._actuator.run, args=(stop,), name="actuator")
        actuator.start()
        try:
            while not stop.is_set():
                part = self._next(stop)
                if part is not None:
                    with self._metrics.watchdog.working("gate"):
                        self._decide(part)
        finally:
            self._actuator.wake()
            actuator.join()

    def finish(self) -> None:
        """Carry out what is recorded already; called after `run`, when `carry_out` is not called any more."""
        self._actuator.finish()
        self._journal.close()

    def wake(self) -> None:
        """Let `run` look at its `stop`."""
        with self._changed:
            self._changed.notify_all()
        self._actuator.wake()

    def _add(self, inspection_id: str, part_id: str, captured_at: float, captured_monotonic: float) -> _Part:
        part = _Part(inspection_id, part_id, captured_at, captured_monotonic + self._policy.deadline_seconds)
        self._parts[inspection_id] = part
        heapq.heappush(self._deadlines, (part.deadline, inspection_id))
        self._changed.notify()
        return part

    def _next(self, stop: threading.Event) -> _Part | None:
        """The next part whose deadline is there; after it no verdict is taken."""
        with self._changed:
            if stop.is_set():
                return None
            wait_seconds = self._deadlines[0][0] - self._clock() if self._deadlines else None
            if wait_seconds is None or wait_seconds > 0:
                self._changed.wait(wait_seconds)
                return None
            part = self._parts.get(heapq.heappop(self._deadlines)[1])
            if part is not None:
                part.deciding = True
            return part

    def _decide(self, part: _Part) -> None:
        """Act at a part's deadline: by default, or as a verdict wants that is not yet written down."""
        command = part.command or self._command(part, self._policy.default, "deadline")
        until = self._until(part)
        if self._clock() > until:
            self._forget(part, ("", MISSED))
            self._actuator.miss(command, "the deadline is over")
            return
        if part.row is None:
            self._forget(part, (command.action, command.grounds))
        else:
            wait_seconds = part.deadline + _WRITING_SHARE * self._policy.tolerance_seconds - self._clock()
            claimed = self._journal.claim(part.inspection_id, command.action, command.grounds, wait_seconds)
            if claimed is False:
                if part.command is None:
                    self._forget(part)
                return
            self._forget(part)
            if claimed is None:
                self._metrics.gate_failures.inc()
        self._actuator.put(command, until)

    def _forget(self, part: _Part, decided: tuple[str, str] | None = None) -> None:
        with self._changed:
            self._parts.pop(part.inspection_id, None)
            if decided is not None and part.row is None:
                self._decided[part.inspection_id] = decided
                while len(self._decided) > _MOST_DECIDED:
                    self._decided.popitem(last=False)

    def _until(self, part: _Part) -> float:
        return part.deadline + self._policy.tolerance_seconds

    def _command(
        self, part: _Part, action: Action, grounds: Literal["verdict", "deadline"], outcome: str = ""
    ) -> GateCommand:
        return GateCommand(
            inspection_id=part.inspection_id,
            station=self._station,
            part_id=part.part_id,
            action=action,
            grounds=grounds,
            outcome=outcome,
            command_id=part.inspection_id,
            captured_at=part.captured_at,
            act_before=part.captured_at + self._policy.limit_seconds,
        )
