"""What the gate does with a part, and until when."""

from dataclasses import dataclass
from typing import Literal

from patchline.wire.messages import Outcome

Action = Literal["accept", "reject"]


@dataclass(frozen=True, slots=True)
class GatePolicy:
    """How the gate decides.

    Attributes:
        deadline_seconds: From the trigger to the moment the part reaches the gate.
        default: What happens to a part without a verdict by then.
        uncalibrated: What happens to a part whose score has no threshold.
        tolerance_seconds: How long after the deadline the gate may still act on the part.
    """

    deadline_seconds: float = 2.0
    default: Action = "reject"
    uncalibrated: Action = "accept"
    tolerance_seconds: float = 0.2

    @property
    def limit_seconds(self) -> float:
        """From the trigger to the last moment at which the gate may act."""
        return self.deadline_seconds + self.tolerance_seconds

    def action(self, outcome: Outcome) -> Action:
        """What a verdict means for the part."""
        match outcome:
            case "normal":
                return "accept"
            case "uncalibrated":
                return self.uncalibrated
            case _:
                return "reject"
