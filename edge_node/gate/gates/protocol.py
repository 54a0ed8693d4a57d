"""What a gate owes the gatekeeper."""

from typing import Protocol

from patchline.wire.messages import GateCommand


class Gate(Protocol):
    """Moves a part, or lets it pass. It is told at most once a part, and nobody asks twice."""

    def act(self, command: GateCommand) -> None:
        """Obey.

        Raises:
            UnavailableError: The gate cannot be reached. The command is not repeated: the part has moved on.
        """
        ...
