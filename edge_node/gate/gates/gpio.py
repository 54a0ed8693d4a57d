"""A gate on a pin of the edge node's own board.

Fails open: a pin that does not change rejects nothing. Wire a gate that must fail safe through a PLC that rejects every
part for which it hears nothing.
"""

import importlib
from typing import Any, Literal

from pydantic import Field

from edge_node.gate.gates.protocol import Gate, GateSettings, OnFailure, Positive, Publishes
from patchline.wire.errors import MisconfiguredError, UnavailableError
from patchline.wire.messages import GateCommand


class GpioGateSettings(GateSettings):
    """A gate on a pin of this board."""

    kind: Literal["gpio"] = Field(description="which gate")
    pin: int = Field(ge=0, description="pin in Broadcom's numbering")
    pulse_seconds: Positive = Field(0.1, description="how long the pin is on for a reject")


class GpioGate(Gate):
    """Pulses an output pin to reject; an accept leaves it alone.

    Raises:
        MisconfiguredError: gpiozero is not installed, or the board has no such pin.
    """

    Settings = GpioGateSettings

    def __init__(self, settings: GpioGateSettings, link: Publishes) -> None:
        super().__init__(settings, link)
        self._gpiozero = _library()
        try:
            self._output: Any = self._gpiozero.DigitalOutputDevice(settings.pin)
        except self._gpiozero.GPIOZeroError as error:
            raise MisconfiguredError(f"pin {settings.pin} cannot be used: {error}", where="gate.pin") from error

    @classmethod
    def check(cls, settings: GpioGateSettings) -> None:
        """Look for the library; the pin may be held by the running station."""
        del settings
        _library()

    def act(self, command: GateCommand, left_seconds: float, on_failure: OnFailure) -> None:
        """Pulse the pin in the background when the part is to be rejected."""
        del left_seconds, on_failure
        if command.action != "reject":
            return
        try:
            self._output.blink(on_time=self.settings.pulse_seconds, off_time=0, n=1, background=True)
        except (OSError, self._gpiozero.GPIOZeroError) as error:
            raise UnavailableError(f"pin {self.settings.pin} does not change: {error}") from error


def _library() -> Any:
    """The gpiozero module."""
    try:
        return importlib.import_module("gpiozero")
    except ModuleNotFoundError as error:
        raise MisconfiguredError(
            "gpiozero is not installed", where="gate.kind", remedy="pip install gpiozero lgpio"
        ) from error
