"""A gate behind the broker: a PLC gateway that reads commands from a topic."""

from typing import Protocol

from patchline.wire.messages import CONTENT_TYPE_JSON, GateCommand, to_json


class Publishes(Protocol):
    """The part of a link this gate needs."""

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, content_type: str = "") -> None:
        """Hand a message to the broker; raises `UnavailableError` when that is impossible now."""
        ...


class MqttGate:
    """Publishes each command as JSON.

    Args:
        link: The station's link to its broker.
        topic: A topic of the plant's own.
    """

    def __init__(self, link: Publishes, topic: str) -> None:
        self._link = link
        self._topic = topic

    def act(self, command: GateCommand) -> None:
        """Publish the command; raises `UnavailableError` when the broker is away."""
        self._link.publish(self._topic, to_json(command), qos=1, content_type=CONTENT_TYPE_JSON)
