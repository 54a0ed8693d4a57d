"""The table of channels: the single source for topic names, access lists and the AsyncAPI document."""

from dataclasses import dataclass
from typing import Literal, get_args

ChannelName = Literal["frame", "backlog", "verdict", "map", "profile", "asset", "status", "command", "unreadable"]
ClientRole = Literal["analytics", "operator", "hmi", "plc", "exporter"]
"""Roles that a person can give to a client of the broker."""
CLIENT_ROLES: tuple[ClientRole, ...] = get_args(ClientRole)
Role = Literal["station"] | ClientRole


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One channel of a station.

    Attributes:
        purpose: What the channel carries, in a few words.
        form: How a message is encoded; `msgpack` between our own programs, `json` where other programs read.
        qos: MQTT quality of service of each message.
        retained: Whether the broker keeps the last message for clients that connect later.
        writers: Roles that may publish.
        readers: Roles that may subscribe.
    """

    purpose: str
    form: Literal["msgpack", "json", "bytes"]
    qos: Literal[0, 1]
    retained: bool
    writers: frozenset[Role]
    readers: frozenset[Role]


def _channel(
    purpose: str, form: Literal["msgpack", "json", "bytes"], qos: Literal[0, 1], retained: str, who: str
) -> Channel:
    writers, _, readers = who.partition(" -> ")
    return Channel(
        purpose=purpose,
        form=form,
        qos=qos,
        retained=retained == "retained",
        writers=_roles(writers),
        readers=_roles(readers),
    )


def _roles(names: str) -> frozenset[Role]:
    roles: tuple[Role, ...] = ("station", *CLIENT_ROLES)
    return frozenset(role for role in roles if role in names.split())


CHANNELS: dict[ChannelName, Channel] = {
    "frame": _channel("live frames and drops", "msgpack", 1, "", "station -> analytics"),
    "backlog": _channel("frames and drops that waited", "msgpack", 1, "", "station -> analytics"),
    "verdict": _channel("verdicts and drop receipts", "json", 1, "", "analytics -> station operator hmi plc"),
    "map": _channel("anomaly maps for people", "msgpack", 0, "", "analytics -> operator hmi"),
    "profile": _channel("how a station encodes", "msgpack", 1, "retained", "analytics -> station operator"),
    "asset": _channel("pieces of files that codecs need", "msgpack", 1, "", "analytics -> station"),
    "status": _channel("birth, state and death", "json", 1, "retained", "station -> analytics operator hmi plc"),
    "command": _channel("commands to a station", "json", 1, "", "operator -> station"),
    "unreadable": _channel("messages that could not be read", "bytes", 1, "", "analytics -> operator"),
}


def written_by(role: Role) -> tuple[ChannelName, ...]:
    """The channels a role may publish to, in the order of the table."""
    return tuple(name for name, channel in CHANNELS.items() if role in channel.writers)


def read_by(role: Role) -> tuple[ChannelName, ...]:
    """The channels a role may subscribe to, in the order of the table."""
    return tuple(name for name, channel in CHANNELS.items() if role in channel.readers)
