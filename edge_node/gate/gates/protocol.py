"""What a gate gives to the actuator."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from edge_node.gate.gate_policy import Action
from patchline.mqtt.delivery import Acknowledged
from patchline.wire.messages import GateCommand

Positive = Annotated[float, Field(gt=0)]
OnFailure = Callable[[str], None]


class GateSettings(BaseModel):
    """The settings that every gate has."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str = Field(description="which gate")
    deadline_seconds: Positive = Field(2.0, description="from the trigger to the moment the part reaches the gate")
    tolerance_seconds: Positive = Field(
        0.2, description="how long after the deadline the gate may still act; a later command is missed"
    )
    default: Action = Field("reject", description="what happens to a part without a verdict by then")
    uncalibrated: Action = Field("accept", description="what happens to a part whose score has no threshold")


class Publishes(Protocol):
    """The part of a link that a gate needs."""

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: Literal[0, 1] = 1,
        content_type: str = "",
        expiry_seconds: int = 0,
        on_done: Callable[[Acknowledged], None] | None = None,
    ) -> None:
        """Hand a message to the broker; raises `UnavailableError` when that is impossible now."""
        ...


class Gate(ABC):
    """Moves a part, or lets it pass. `settings` is an instance of `Settings`.

    Attributes:
        Settings: The gate's table in the settings file.
        repeats: Whether a command that failed may be given again until its time is over. Its receiver must act once.
    """

    Settings: ClassVar[type[GateSettings]]
    repeats: ClassVar[bool] = False

    def __init__(self, settings: Any, link: Publishes) -> None:
        """Open the gate's device; raise `MisconfiguredError` when it cannot be used."""
        self.settings, self.link = settings, link

    @classmethod  # noqa: B027  some have nothing to look at
    def check(cls, settings: Any) -> None:
        """Make sure that the gate can be used, for `--check`, and leave alone what a running station holds.

        Raises:
            MisconfiguredError: It cannot.
        """

    @abstractmethod
    def act(self, command: GateCommand, left_seconds: float, on_failure: OnFailure) -> None:
        """Carry a command out.

        Args:
            command: What to do.
            left_seconds: The part has gone by after this time.
            on_failure: Called when it becomes known after the return that the command did not arrive.

        Raises:
            UnavailableError: The gate cannot be reached.
        """


def topic_of(settings: GateSettings) -> str | None:
    """The MQTT topic that a gate publishes to, where it has one."""
    topic: str | None = getattr(settings, "topic", None)
    return topic
