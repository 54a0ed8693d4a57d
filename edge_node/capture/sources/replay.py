"""A planned run of pictures: a file says which part shows which picture, in which order."""

import random
from collections import deque
from functools import partial
from pathlib import Path
from typing import Literal

import msgspec
from pydantic import Field

from edge_node.capture.sources.protocol import Shot, Source, SourceContext, SourceSettings
from edge_node.outbox.rows import Trigger
from patchline.pictures.files import open_picture
from patchline.wire.errors import MisconfiguredError


class PlannedPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of a plan. What is wrong with the part is never in it: labels stay in the truth ledger."""

    path: str
    part_id: str


def read_plan(path: Path) -> list[PlannedPart]:
    """The parts of a plan (JSON lines of `path` and `part_id`); relative paths start at the plan's own folder.

    Raises:
        MisconfiguredError: The plan is missing, empty, malformed, or names a picture that does not exist.
    """
    where = f"source.plan {path}"
    try:
        parts = msgspec.json.Decoder(PlannedPart).decode_lines(path.read_bytes())
    except OSError as error:
        raise MisconfiguredError(f"the plan cannot be read: {error.strerror}", where=where) from error
    except msgspec.MsgspecError as error:
        raise MisconfiguredError(
            f"the plan is malformed: {error}", where=where, remedy='write lines of {"path": ..., "part_id": ...}'
        ) from error
    if not parts:
        raise MisconfiguredError("the plan is empty", where=where)
    absolute = [PlannedPart(str(path.parent / part.path), part.part_id) for part in parts]
    for number, part in enumerate(absolute, start=1):
        if not Path(part.path).is_file():
            raise MisconfiguredError(f"{part.path} does not exist", where=f"{where}, line {number}")
    return absolute


class ReplaySettings(SourceSettings):
    """A planned run."""

    kind: Literal["replay"] = Field(description="which source")
    plan: Path = Field(description='JSON lines of {"path", "part_id"}')
    seed: int | None = Field(None, description="shuffles the plan; its own order unless given")


class ReplaySource(Source):
    """The parts of a plan, one a trigger. Raises as `read_plan` does."""

    Settings = ReplaySettings

    def __init__(self, settings: ReplaySettings, context: SourceContext) -> None:
        super().__init__(settings, context)
        parts = read_plan(settings.plan)
        if settings.seed is not None:
            random.Random(settings.seed).shuffle(parts)  # noqa: S311  an order to repeat, not a secret
        self._parts = deque(parts)

    def at(self, trigger: Trigger) -> Shot | None:
        """The next planned part, under its planned id."""
        del trigger
        if self.ended():
            return None
        part = self._parts.popleft()
        return Shot(part.part_id, partial(open_picture, Path(part.path)))

    def ended(self) -> bool:
        """Whether the plan is over."""
        return not self._parts
