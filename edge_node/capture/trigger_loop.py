"""The loop that turns triggers into numbered parts, wherever the triggers come from."""

import threading
from collections.abc import Iterable

from edge_node.capture.intake import TriggerIntake
from edge_node.capture.sources.protocol import Arrival
from edge_node.capture.takt import Takt
from edge_node.control.active_encoder import ActiveEncoder


class TriggerLoop:
    """Runs on a thread of its own, beside the capture loop.

    Args:
        triggers: The clock, the plant's messages, or the arrivals of pictures.
        intake: Numbers the parts.
        active_encoder: A clock stands still while there is no profile, and while the station is paused.
        stop: Ends the loop.
        waits: Whether the next trigger waits until the last part has been captured, for pictures that can wait.
    """

    def __init__(
        self,
        triggers: Iterable[Arrival],
        intake: TriggerIntake,
        active_encoder: ActiveEncoder,
        stop: threading.Event,
        *,
        waits: bool,
    ) -> None:
        self._triggers, self._intake, self._active_encoder = triggers, intake, active_encoder
        self._stop, self._waits = stop, waits

    def run(self) -> None:
        """Take triggers until the source ends or the station stops."""
        try:
            self._run()
        finally:
            self._intake.end()

    def _run(self) -> None:
        triggers = iter(self._triggers)
        while self._is_wanted():
            arrival = next(triggers, None)
            if arrival is None or not self._intake.arrive(arrival):
                return
            if self._waits:
                self._intake.wait_idle(self._stop)

    def _is_wanted(self) -> bool:
        """Whether the next trigger is to be awaited; a clock waits here until the station may capture."""
        if not isinstance(self._triggers, Takt):
            return True
        if self._active_encoder.encoder is None or self._active_encoder.paused:
            if self._active_encoder.await_encoder(self._stop) is None:
                return False
            self._triggers.rest()
        return not self._stop.is_set()
