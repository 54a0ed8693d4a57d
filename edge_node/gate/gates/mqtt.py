"""A gate behind the broker: a PLC gateway that reads commands from a topic.

Fails as the PLC decides: a command that cannot be delivered until its time is over is counted, and the PLC, which hears
nothing of the part, has to reject it.
"""

import math
from typing import Literal

from pydantic import Field

from edge_node.gate.gates.protocol import Gate, GateSettings, OnFailure
from patchline.mqtt.delivery import Acknowledged
from patchline.wire.messages import CONTENT_TYPE_JSON, GateCommand, to_json


class MqttGateSettings(GateSettings):
    """A gate that reads commands from a topic."""

    kind: Literal["mqtt"] = Field(description="which gate")
    topic: str = Field(description="where commands are published")


class MqttGate(Gate):
    """Publishes each command as JSON, never retained, again with the same `command_id` until the broker has it."""

    Settings = MqttGateSettings
    repeats = True

    def act(self, command: GateCommand, left_seconds: float, on_failure: OnFailure) -> None:
        """Publish the command; the broker discards it when its time is over."""

        def done(fate: Acknowledged) -> None:
            if not fate.accepted:
                on_failure(fate.reason)

        self.link.publish(
            self.settings.topic,
            to_json(command),
            qos=1,
            content_type=CONTENT_TYPE_JSON,
            expiry_seconds=max(1, math.ceil(left_seconds)),
            on_done=done,
        )
