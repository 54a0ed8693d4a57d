"""Where messages live: `{prefix}/{site}/{line}/{station}/{channel}`."""

import re
from typing import Self

import msgspec

from patchline.wire.channels import CHANNELS, ChannelName
from patchline.wire.errors import MisconfiguredError, UnreadableError

DEFAULT_PREFIX = "vad/v1"
SERVICE_LINE = "_service"
"""The reserved line under which services, which have no place on a line, publish their own `status`."""

_LARGEST_TOPIC_BYTES = 65_535
_LEVEL = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Station(msgspec.Struct, frozen=True, order=True):
    """A place on a line, written `site/line/station`; each level is 1 to 64 of `A-Z a-z 0-9 _ -`.

    Raises:
        MisconfiguredError: A level is empty, too long, or holds another character.
    """

    site: str
    line: str
    name: str

    def __post_init__(self) -> None:
        for level in (self.site, self.line, self.name):
            if not _LEVEL.fullmatch(level):
                raise MisconfiguredError(
                    f"{level!r} cannot be a level of a topic",
                    where=f"station {self.site}/{self.line}/{self.name}",
                    remedy="use 1 to 64 letters, digits, '_' or '-'",
                )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `site/line/station`.

        Raises:
            MisconfiguredError: The text does not have three valid levels.
        """
        levels = text.split("/")
        if len(levels) != 3:  # noqa: PLR2004
            raise MisconfiguredError(f"{text!r} is not a station", remedy="write it as site/line/station")
        return cls(*levels)

    def __str__(self) -> str:
        return f"{self.site}/{self.line}/{self.name}"


class Topics(msgspec.Struct, frozen=True):
    """The topic tree under one prefix, for building and reading topic names."""

    prefix: str = DEFAULT_PREFIX

    def __post_init__(self) -> None:
        if not all(_LEVEL.fullmatch(level) for level in self.prefix.split("/")):
            raise MisconfiguredError(
                f"{self.prefix!r} cannot be a topic prefix",
                remedy="use levels of letters, digits, '_' or '-' joined by '/', without a slash at either end",
            )

    def of(self, station: Station, channel: ChannelName) -> str:
        """The topic of one station's channel."""
        return f"{self.prefix}/{station}/{channel}"

    def every(self, channel: ChannelName, *, site: str = "+", line: str = "+") -> str:
        """The subscription filter for a channel of every station, or of those of one site or line."""
        return f"{self.prefix}/{site}/{line}/+/{channel}"

    def service_status(self, site: str, name: str = "+") -> str:
        """Where a service publishes its birth and death; with the default name, the filter for all of a site."""
        return f"{self.prefix}/{site}/{SERVICE_LINE}/{name}/status"

    def shared(self, group: str, topic_filter: str) -> str:
        """The same filter, its load shared between the subscribers of a group."""
        return f"$share/{group}/{topic_filter}"

    def parse(self, topic: str) -> tuple[Station, ChannelName]:
        """Whose channel a topic is.

        Raises:
            UnreadableError: The topic does not hang under this prefix or names no known channel.
        """
        head, _, rest = topic.partition(f"{self.prefix}/")
        levels = rest.split("/")
        if head or len(levels) != 4 or levels[3] not in CHANNELS:  # noqa: PLR2004
            raise UnreadableError(f"topic {topic!r} is not one of ours", code="topic")
        try:
            return Station(*levels[:3]), levels[3]
        except MisconfiguredError as error:
            raise UnreadableError(str(error), code="topic") from error


def check_topic(topic: str) -> None:
    """Make sure that a topic can be published to (MQTT 5.0, section 4.7).

    Raises:
        MisconfiguredError: It is empty or too long, or holds a wildcard.
    """
    if _is_unfit(topic) or "+" in topic or "#" in topic:
        raise MisconfiguredError(f"{topic[:100]!r} is not a topic to publish to", remedy="use one without wildcards")


def check_filter(topic_filter: str) -> None:
    """Make sure that a filter can be subscribed to (MQTT 5.0, section 4.7).

    Raises:
        MisconfiguredError: It is empty or too long, or a wildcard is not alone in its level, `#` in the last.
    """
    levels = topic_filter.split("/")
    misplaced = any(len(level) > 1 and ("+" in level or "#" in level) for level in levels) or "#" in levels[:-1]
    if _is_unfit(topic_filter) or misplaced:
        raise MisconfiguredError(
            f"{topic_filter[:100]!r} is not a topic filter", remedy="let + fill a level of its own, and # the last one"
        )


def _is_unfit(text: str) -> bool:
    return not text or "\0" in text or len(text.encode("utf-8", "replace")) > _LARGEST_TOPIC_BYTES
