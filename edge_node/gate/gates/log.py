"""A gate that only says what it would do: for a line that looks before it leaps."""

import logging

from patchline.wire.messages import GateCommand

_log = logging.getLogger(__name__)


class LogGate:
    """Writes each command to the log: a reject as a warning, an accept for those who debug."""

    def act(self, command: GateCommand) -> None:
        """Log the command."""
        level = logging.WARNING if command.action == "reject" else logging.DEBUG
        grounds = command.outcome or command.grounds
        _log.log(level, "gate: %s part %s of %s (%s)", command.action, command.part_id, command.station, grounds)
