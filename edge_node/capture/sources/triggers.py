"""When a part stands before the camera: by the clock, or when the plant says so over MQTT."""

import queue
import threading
import time
from collections.abc import Iterator
from typing import Protocol

import msgspec

from patchline.wire.errors import UnreadableError

_POLL_SECONDS = 0.2
_MAX_TRIGGER_BYTES = 4096


class Triggers(Protocol):
    """Blocks until the next part is there, then yields its id, or None where nobody told it; ends when stopped."""

    def __iter__(self) -> Iterator[str | None]:
        """The triggers, one after another."""
        ...


class Takt:
    """A part every `seconds`, on a schedule that does not drift; 0 means as fast as parts are taken.

    A capture that falls behind is not made to catch up with a burst: a belt does not go back.

    Args:
        seconds: From one part to the next.
        stop: Ends the triggers when set.
        delay_seconds: Before the first part, so that stations of one line need not fire together.
    """

    def __init__(self, seconds: float, stop: threading.Event, *, delay_seconds: float = 0.0) -> None:
        self._seconds = seconds
        self._stop = stop
        self._delay_seconds = delay_seconds

    def __iter__(self) -> Iterator[str | None]:
        """One None a takt."""
        due = time.monotonic() + self._delay_seconds
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            yield None
            due = max(due + self._seconds, time.monotonic())


class MessageTriggers:
    """Triggers told by messages, `{"part_id": "..."}` or the id as plain text; an empty message has no id.

    Args:
        stop: Ends the triggers when set.
        limit: How many may wait while a picture is being taken.
    """

    def __init__(self, stop: threading.Event, *, limit: int = 64) -> None:
        self._stop = stop
        self._waiting: queue.Queue[str | None] = queue.Queue(maxsize=limit)

    def offer(self, part_id: str | None) -> bool:
        """Queue a trigger; False when too many wait or none is taken any more: its part must be told as superseded."""
        if self._stop.is_set():
            return False
        try:
            self._waiting.put_nowait(part_id)
        except queue.Full:
            return False
        return True

    def leftover(self) -> Iterator[str | None]:
        """What still waited when the triggers were stopped."""
        while not self._waiting.empty():
            yield self._waiting.get_nowait()

    def __iter__(self) -> Iterator[str | None]:
        """The part ids in the order they were told."""
        while not self._stop.is_set():
            try:
                yield self._waiting.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                continue


class _TriggerMessage(msgspec.Struct, frozen=True):
    part_id: str | int | None = None


def read_trigger(payload: bytes) -> str | None:
    """The part id in a trigger message.

    Raises:
        UnreadableError: The message is too long, not UTF-8, or JSON of another shape.
    """
    if len(payload) > _MAX_TRIGGER_BYTES:
        raise UnreadableError(f"trigger of {len(payload)} bytes is over the limit of {_MAX_TRIGGER_BYTES}", code="size")
    try:
        text = payload.decode().strip()
        part_id = msgspec.json.decode(text, type=_TriggerMessage).part_id if text.startswith("{") else text
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableError(f"trigger: {error}", code="trigger") from error
    return str(part_id)[:256] if part_id not in {None, ""} else None
