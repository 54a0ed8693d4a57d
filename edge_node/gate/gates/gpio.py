"""A gate on a pin of the edge node's own board."""

import importlib
from typing import Any

from patchline.wire.errors import MisconfiguredError
from patchline.wire.messages import GateCommand


def library() -> Any:
    """The gpiozero module; raises `MisconfiguredError` when it is not installed."""
    try:
        return importlib.import_module("gpiozero")
    except ModuleNotFoundError as error:
        raise MisconfiguredError(
            "gpiozero is not installed", where="gate.kind", remedy="pip install gpiozero lgpio"
        ) from error


class GpioGate:
    """Pulses an output pin to reject; an accept leaves it alone.

    Args:
        pin: The pin in Broadcom's numbering.
        pulse_seconds: How long the pin stays on.

    Raises:
        MisconfiguredError: gpiozero is not installed, or the board has no such pin.
    """

    def __init__(self, pin: int, pulse_seconds: float = 0.1) -> None:
        gpiozero = library()
        try:
            self._output: Any = gpiozero.DigitalOutputDevice(pin)
        except gpiozero.GPIOZeroError as error:
            raise MisconfiguredError(f"pin {pin} cannot be used: {error}", where="gate.pin") from error
        self._pulse_seconds = pulse_seconds

    def act(self, command: GateCommand) -> None:
        """Pulse the pin in the background when the part is to be rejected."""
        if command.action == "reject":
            self._output.blink(on_time=self._pulse_seconds, off_time=0, n=1, background=True)
