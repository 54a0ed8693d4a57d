"""Topic names and filters as MQTT defines them (MQTT 5.0, section 4.7), checked before they reach a broker."""

from patchline.wire.errors import MisconfiguredError

_LARGEST_BYTES = 65_535


def check_topic(topic: str) -> None:
    """Make sure that one can publish to a topic.

    Raises:
        MisconfiguredError: It is empty or too long, or holds a wildcard.
    """
    if _is_unfit(topic) or "+" in topic or "#" in topic:
        raise MisconfiguredError(f"{topic[:100]!r} is not a topic to publish to", remedy="use one without wildcards")


def check_filter(topic_filter: str) -> None:
    """Make sure that one can subscribe to a filter.

    Raises:
        MisconfiguredError: It is empty or too long, or a wildcard does not stand alone in its level, `#` in the last.
    """
    levels = topic_filter.split("/")
    misplaced = any(len(level) > 1 and ("+" in level or "#" in level) for level in levels) or "#" in levels[:-1]
    if _is_unfit(topic_filter) or misplaced:
        raise MisconfiguredError(
            f"{topic_filter[:100]!r} is not a topic filter", remedy="let + fill a level of its own, and # the last one"
        )


def _is_unfit(text: str) -> bool:
    return not text or "\0" in text or len(text.encode("utf-8", "replace")) > _LARGEST_BYTES
