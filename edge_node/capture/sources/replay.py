"""A planned run of pictures: a file says which part shows which picture, in which order."""

import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import msgspec

from edge_node.capture.sources.protocol import Shot
from edge_node.capture.sources.triggers import Triggers
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


class ReplaySource:
    """The parts of a plan, one a trigger.

    Args:
        plan: A file of JSON lines, see `read_plan`.
        triggers: When to take the next picture.
        seed: Shuffles the plan; None keeps its order.

    Raises:
        MisconfiguredError: See `read_plan`.
    """

    def __init__(self, plan: Path, triggers: Triggers, *, seed: int | None = None) -> None:
        self._parts = read_plan(plan)
        self._triggers = triggers
        if seed is not None:
            random.Random(seed).shuffle(self._parts)  # noqa: S311  an order to repeat, not a secret

    def frames(self) -> Iterator[Shot]:
        """One shot a planned part."""
        for part, _ in zip(self._parts, self._triggers, strict=False):
            yield Shot(part.part_id, partial(open_picture, Path(part.path)))
