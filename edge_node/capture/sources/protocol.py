"""What a source of pictures gives to the capture loop."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from edge_node.outbox.rows import Trigger

Pixels = NDArray[np.uint8]
"""A picture, (height, width, 3) RGB."""

Positive = Annotated[float, Field(gt=0)]


def nothing() -> None:
    """Do nothing."""


class SourceSettings(BaseModel):
    """The settings that every source has."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str = Field(description="which source")
    exposure_timeout_seconds: Positive = Field(
        5.0, description="longest time one picture may take; then its part is a drop"
    )


@dataclass(frozen=True, slots=True)
class Shot:
    """The picture of one trigger. Nothing has been exposed yet.

    Attributes:
        part_id: What the plant calls the part; None when nobody told, so that a counter names it.
        open: Exposes and returns the pixels. Raises `UnreadableError` when the picture is damaged, and
            `UnavailableError` or `OSError` when the camera or the file is away.
        wait_seconds: How much longer than an exposure `open` may wait, for a file that is still to come.
        on_kept: Called when the frame is on the disk of the outbox.
    """

    part_id: str | None
    open: Callable[[], Pixels]
    wait_seconds: float = 0.0
    on_kept: Callable[[], None] = nothing


@dataclass(frozen=True, slots=True)
class Arrival:
    """A trigger, with what came with it.

    Attributes:
        shot: The picture, where the trigger is the picture's own arrival; else the source is asked for it.
        told: Whether the plant says that a part is there. A clock only asks for the next part.
        on_reserved: Called when the part's number is on the disk.
    """

    trigger: Trigger
    shot: Shot | None = None
    told: bool = False
    on_reserved: Callable[[], None] = field(default=nothing, compare=False)


@dataclass(frozen=True, kw_only=True)
class SourceContext:
    """What a source knows of its station.

    Attributes:
        told: Whether messages are the triggers.
        max_age_seconds: How old a trigger may be when its picture is taken.
        memory: A file in which the source may keep what it must know after a restart.
        stop: Ends waiting.
        on_stray: Told of each picture that belongs to no part.
    """

    told: bool = False
    max_age_seconds: float = 2.0
    memory: Path = Path("capture.sqlite")
    stop: threading.Event = field(default_factory=threading.Event)
    on_stray: Callable[[str], None] = lambda _: None


class Source(ABC):
    """A camera, or what stands in for one. `settings` is an instance of `Settings`.

    Attributes:
        Settings: The source's table in the settings file.
        live: Whether a picture shows what stands before the camera at the moment of exposure. Such a picture must not
            be taken late. The pictures of other sources wait.
    """

    Settings: ClassVar[type[SourceSettings]]
    live: ClassVar[bool] = False

    def __init__(self, settings: Any, context: SourceContext) -> None:
        """Keep the settings; raise `MisconfiguredError` when the source cannot work with them."""
        self.settings, self.context = settings, context

    @abstractmethod
    def at(self, trigger: Trigger) -> Shot | None:
        """The picture of a trigger that has just arrived; None when the source has ended. Returns at once."""

    def ended(self) -> bool:
        """Whether no trigger gets a picture any more."""
        return False

    def arrivals(self) -> Iterator[Arrival] | None:
        """The source's own triggers, where the arrival of a picture is one; ends when the station stops."""
        return None

    def check(self) -> None:  # noqa: B027  most have nothing to look at
        """Make sure that pictures can be had, for `--check`; raise `MisconfiguredError` or `UnavailableError`."""

    def start(self) -> None:  # noqa: B027  most have nothing to open
        """Open and warm the device; returns at once."""

    def stop(self) -> None:  # noqa: B027  as `start`
        """Give the device back; returns at once."""

    def problem(self) -> str:
        """Why no picture can be taken now, for a person; empty when there is no such reason."""
        return ""
