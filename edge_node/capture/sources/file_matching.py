"""Which file shows the part of which trigger. A file that fits none is given to none."""

import re
from dataclasses import dataclass

from edge_node.capture.sources.taken_files import SeenFile
from edge_node.outbox.rows import Trigger

_CLOCK_STEP_SECONDS = 0.01
"""File systems date a file by the last tick of the kernel's clock, which may lie before the trigger."""
_MOST_TRIGGERS = 1024


@dataclass
class _Waiting:
    """A trigger, and its file once there is one."""

    trigger: Trigger
    file: SeenFile | None = None
    ended: bool = False


class FileMatching:
    """Gives files to triggers: by the part id that a file's name holds, else by the times of the triggers.

    Args:
        max_age_seconds: How long a trigger waits for its file, and a file for its trigger.
    """

    def __init__(self, max_age_seconds: float) -> None:
        self._max_age_seconds = max_age_seconds
        self._triggers: list[_Waiting] = []

    def add(self, trigger: Trigger) -> None:
        """A trigger arrived."""
        self._triggers.append(_Waiting(trigger))
        self._triggers.sort(key=lambda waiting: waiting.trigger.captured_at)
        del self._triggers[:-_MOST_TRIGGERS]

    def file_of(self, trigger: Trigger) -> SeenFile | None:
        """The file of a trigger, if it has come."""
        return next((each.file for each in self._triggers if each.trigger == trigger), None)

    def give_up(self, trigger: Trigger) -> None:
        """A trigger waits no longer."""
        for each in self._triggers:
            each.ended = each.ended or each.trigger == trigger

    def offer(self, file: SeenFile, now: float) -> str:
        """Give a file to the trigger it belongs to.

        Returns:
            `matched`; `waiting` where its trigger may still come; or `stray`.
        """
        named = self._named(file)
        found = named or self._by_time(file)
        if found is not None and found.file is None and not found.ended:
            found.file = file
            return "matched"
        if named is None and found is not None:
            return "stray"
        return "waiting" if now - file.written_at <= self._max_age_seconds else "stray"

    def _named(self, file: SeenFile) -> _Waiting | None:
        """The trigger whose part id the name holds; the longest id, where it holds several."""
        stem = file.path.stem
        fitting = [
            each
            for each in self._triggers
            if each.trigger.part_id
            and holds(stem, each.trigger.part_id)
            and file.written_at >= each.trigger.captured_at - self._max_age_seconds
        ]
        return max(
            fitting,
            key=lambda each: (len(each.trigger.part_id or ""), each.file is None and not each.ended),
            default=None,
        )

    def _by_time(self, file: SeenFile) -> _Waiting | None:
        """The last trigger before the file was written, unless the file's name looks like the id of another part."""
        before = [each for each in self._triggers if each.trigger.captured_at <= file.written_at + _CLOCK_STEP_SECONDS]
        if not before or names_another(file.path.stem, before[-1].trigger.part_id or ""):
            return None
        return before[-1]


def holds(stem: str, part_id: str) -> bool:
    """Whether a file's name holds a part id as a word of its own: `cam1_A-1` holds `A-1`, and `A-10` does not."""
    return re.search(rf"(?<![A-Za-z0-9]){re.escape(part_id)}(?![A-Za-z0-9])", stem) is not None


def names_another(stem: str, part_id: str) -> bool:
    """Whether a name is of the same kind as a part id and another one: `A-2` beside `A-1`."""
    return (
        stem != part_id
        and any(each.isalpha() for each in part_id)
        and re.sub(r"\d", "0", stem) == re.sub(r"\d", "0", part_id)
    )
