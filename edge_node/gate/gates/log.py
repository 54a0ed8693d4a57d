"""A gate that only logs, for a line that is being set up. It cannot fail."""

import logging
from typing import Literal

from pydantic import Field

from edge_node.gate.gates.protocol import Gate, GateSettings, OnFailure
from patchline.wire.messages import GateCommand

_log = logging.getLogger(__name__)


class LogGateSettings(GateSettings):
    """A gate that only logs."""

    kind: Literal["log"] = Field("log", description="which gate")


class LogGate(Gate):
    """Writes each command to the log: a reject as a warning, an accept for those who debug."""

    Settings = LogGateSettings

    def act(self, command: GateCommand, left_seconds: float, on_failure: OnFailure) -> None:
        """Log the command."""
        del left_seconds, on_failure
        level = logging.WARNING if command.action == "reject" else logging.DEBUG
        grounds = command.outcome or command.grounds
        _log.log(level, "gate: %s part %s of %s (%s)", command.action, command.part_id, command.station, grounds)
