"""What a trigger message says. A part stands there whatever the message says, so no content is refused."""

from datetime import datetime

import msgspec

_MAX_BYTES = 4096
_MAX_ID = 256


class TriggerMessage(msgspec.Struct, frozen=True):
    """A trigger as the plant sends it: JSON, or the part id as plain text, or nothing.

    Attributes:
        part_id: What the plant calls the part.
        trigger_id: Names this trigger; a second message with the same one is a repeat.
        triggered_at: The plant's time: Unix seconds, or a date and time with its zone.
    """

    part_id: str | int | None = None
    trigger_id: str | int | None = None
    triggered_at: float | datetime | None = None


def printable(text: str, limit: int = _MAX_ID) -> str:
    """A text from outside with its control characters and lone surrogates escaped, cut to a length."""
    shown = (each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text[:limit])
    return "".join(shown)[:limit]


def read_trigger(payload: bytes) -> tuple[TriggerMessage, str]:
    """What a message says, and what is wrong with it.

    Returns:
        The message, without the ids that cannot be read; and the fault for the log, or an empty text.
    """
    if len(payload) > _MAX_BYTES:
        return TriggerMessage(), f"{len(payload)} bytes are over the limit of {_MAX_BYTES}"
    try:
        text = payload.decode().strip()
        message = msgspec.json.decode(text, type=TriggerMessage) if text.startswith("{") else TriggerMessage(text)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        return TriggerMessage(), str(error)
    at = message.triggered_at
    if isinstance(at, datetime):
        at = at.timestamp() if at.tzinfo else None
    return TriggerMessage(_id(message.part_id), _id(message.trigger_id), at), ""


def _id(value: str | int | None) -> str | None:
    return printable(str(value)) if value not in {None, ""} else None
