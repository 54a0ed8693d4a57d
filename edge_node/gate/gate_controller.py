"""The gate's conscience: in time, at most once a part, and written down before anything moves."""

import heapq
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from edge_node.gate.gates.protocol import Gate
from edge_node.metrics import EdgeMetrics
from edge_node.outbox.outbox import Outbox
from edge_node.outbox.rows import Row
from patchline.wire.errors import UnavailableError
from patchline.wire.messages import GateCommand, Outcome, Verdict

_log = logging.getLogger(__name__)

Action = Literal["accept", "reject"]

_MISSED = "missed"


@dataclass(frozen=True, slots=True)
class GatePolicy:
    """How the gate decides.

    Attributes:
        deadline_seconds: From capture to the moment the part reaches the gate.
        default: What happens to a part without a verdict by then.
        uncalibrated: What happens to a part whose score has no threshold to be held against.
    """

    deadline_seconds: float = 2.0
    default: Action = "reject"
    uncalibrated: Action = "accept"

    def action(self, outcome: Outcome) -> Action:
        """What a verdict means for the part."""
        match outcome:
            case "normal":
                return "accept"
            case "uncalibrated":
                return self.uncalibrated
            case _:
                return "reject"


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
        self._gate, self._outbox, self._station, self._policy = gate, outbox, station, policy
        self._metrics, self._clock = metrics, clock
        self._changed = threading.Condition()
        self._watched: dict[str, Row] = {}
        self._deadlines: list[tuple[float, str]] = []
        self._commands: deque[GateCommand] = deque()

    def watch(self, row: Row) -> None:
        """A part was captured; its deadline runs."""
        with self._changed:
            self._watched[row.inspection_id] = row
            heapq.heappush(self._deadlines, (self._deadline(row), row.inspection_id))
            self._changed.notify()

    def settle(self, row: Row, clock_id: str) -> None:
        """A row of an earlier boot: watch it if its deadline is still ahead, else write down that it was missed."""
        if row.gate_grounds:
            return
        if row.clock_id == clock_id and self._deadline(row) > self._clock():
            self.watch(row)
        elif self._outbox.claim_gate(row.inspection_id, "", _MISSED):
            self._metrics.gate_actions.labels("none", _MISSED).inc()

    def settle_closed(self) -> None:
        """Parts that an earlier boot closed before their deadline, as drops are, and did not live to act at it."""
        self._metrics.gate_actions.labels("none", _MISSED).inc(self._outbox.miss_gates())

    def judge(self, row: Row, verdict: Verdict, received_at: float) -> GateCommand | None:
        """What a verdict that came in time lets the gate do; None when it is historical, late, or already done.

        The caller writes the action down, then calls `obey`.
        """
        if verdict.historical or received_at > self._deadline(row):
            return None
        with self._changed:
            if self._watched.pop(row.inspection_id, None) is None:
                return None
        return self._command(row, self._policy.action(verdict.outcome), "verdict", verdict.outcome)

    @property
    def watching(self) -> int:
        """How many parts have neither verdict nor deadline behind them, or a command that waits to be obeyed."""
        with self._changed:
            return len(self._watched) + len(self._commands)

    def obey(self, command: GateCommand) -> None:
        """Move the gate, from the gatekeeper's own thread; the action has been written down."""
        with self._changed:
            self._commands.append(command)
            self._changed.notify()

    def run(self, stop: threading.Event) -> None:
        """Move the gate until stopped; a set `stop` is noticed at the next `wake`."""
        while not stop.is_set():
            command = self._next(stop)
            if command is not None:
                with self._metrics.watchdog.working("gatekeeper"):
                    self._move(command)

    def finish(self) -> None:
        """After `run`, and when nobody calls `obey` any more: move the gate where that is written down already."""
        while self._commands:
            self._move(self._commands.popleft())

    def wake(self) -> None:
        """Let `run` look at its `stop`."""
        with self._changed:
            self._changed.notify_all()

    def _next(self, stop: threading.Event) -> GateCommand | None:
        """The next command to obey: a verdict's, or a deadline's once it is written down."""
        with self._changed:
            if stop.is_set():
                return None
            if self._commands:
                return self._commands.popleft()
            remaining = self._deadlines[0][0] - self._clock() if self._deadlines else None
            if remaining is None or remaining > 0:
                self._changed.wait(remaining)
                return None
            row = self._watched.pop(heapq.heappop(self._deadlines)[1], None)
        return self._default(row) if row is not None else None

    def _default(self, row: Row) -> GateCommand | None:
        try:
            claimed = self._outbox.claim_gate(row.inspection_id, self._policy.default, "deadline")
        except UnavailableError as error:
            _log.error("gate not moved for part %s: it cannot be written down: %s", row.part_id, error)
            self._metrics.gate_failures.inc()
            return None
        return self._command(row, self._policy.default, "deadline") if claimed else None

    def _move(self, command: GateCommand) -> None:
        self._metrics.gate_actions.labels(command.action, command.grounds).inc()
        try:
            self._gate.act(command)
        except UnavailableError as error:
            _log.error("gate did not %s part %s: %s", command.action, command.part_id, error)
            self._metrics.gate_failures.inc()

    def _deadline(self, row: Row) -> float:
        return row.captured_monotonic + self._policy.deadline_seconds

    def _command(
        self, row: Row, action: Action, grounds: Literal["verdict", "deadline"], outcome: str = ""
    ) -> GateCommand:
        return GateCommand(
            inspection_id=row.inspection_id,
            station=self._station,
            part_id=row.part_id,
            action=action,
            grounds=grounds,
            outcome=outcome,
        )
