"""Who may write and read what, written down for Mosquitto; whatever is not written down is denied.

A user is the common name of a certificate (`use_identity_as_username true`). A client id is chosen by the client and
proves nothing, so no rule here looks at it.
"""

from collections.abc import Iterable, Mapping

from patchline.wire.channels import ClientRole, read_by, written_by
from patchline.wire.topics import Station, Topics

_REASONS: dict[ClientRole, str] = {
    "analytics": "an analytics service: reads what the stations of the site and the broker of itself tell",
    "operator": "a person who watches the line and steers its stations",
    "hmi": "a screen: verdicts, anomaly maps and states of the site, and not a word of its own",
    "plc": "a PLC gateway or a historian: verdicts and states",
    "exporter": "the exporter of the broker's own figures",
}
_HEAD = """\
# Who may write and read what, by the common name of the certificate. Whatever is not allowed here is denied.
# Written by `patchline provision`, and written again by each run of it: put rules of your own into local.acl beside it.
"""


def access_list(
    site: str, stations: Iterable[str], clients: Mapping[str, ClientRole], *, topics: Topics, local: str = ""
) -> str:
    """Mosquitto's access list for a site.

    Args:
        site: The only site anybody may look into.
        stations: `site/line/station` of each.
        clients: Name -> role of everybody else.
        topics: The tree.
        local: The plant's own rules, taken over word for word.
    """
    blocks = [_HEAD]
    blocks += [_station(Station.parse(station), topics) for station in sorted(stations)]
    blocks += [_client(name, role, site, topics) for name, role in sorted(clients.items())]
    if local.strip():
        blocks.append(f"# The plant's own rules, from local.acl.\n{local.strip()}\n")
    return "\n".join(blocks)


def _station(station: Station, topics: Topics) -> str:
    lines = [f"# Station {station} owns its branch: what it sends, and what is sent to it.", f"user {station}"]
    lines += [f"topic write {topics.of(station, channel)}" for channel in written_by("station")]
    lines += [f"topic read {topics.of(station, channel)}" for channel in read_by("station")]
    lines.append(f"topic read {topics.service_status(station.site)}")
    return "\n".join(lines) + "\n"


def _client(name: str, role: ClientRole, site: str, topics: Topics) -> str:
    lines = [f"# {name} is {_REASONS[role]}.", f"user {name}"]
    lines += [f"topic read {topics.every(channel, site=site)}" for channel in read_by(role)]
    lines += [f"topic write {topics.every(channel, site=site)}" for channel in written_by(role)]
    if role == "analytics":
        lines.append(f"topic write {topics.service_status(site, name)}")
        lines.append("topic read $SYS/broker/#")
    if role == "exporter":
        lines.append("topic read $SYS/#")
    return "\n".join(lines) + "\n"
