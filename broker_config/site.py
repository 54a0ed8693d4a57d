"""A site: its broker, stations and clients, where their files are, and which certificates were issued.

::

    site.json            the site, without a secret
    authority/           ca.key, ca.crt, issued.json: belongs on a machine without a network
    signing/             signing.key: belongs where stations are commissioned
    broker/              mosquitto.conf, site.acl, tls/: the broker's folder, whole
    services/NAME/       analytics.toml, verify.pem, tls/: an analytics service's folder, whole
    stations/LINE/NAME/  edge.toml, verify.pem, tls/: an edge node's folder, whole
    clients/NAME/        tls/: every other client
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import msgspec

from broker_config import private_files
from patchline.wire.channels import ClientRole
from patchline.wire.errors import MisconfiguredError
from patchline.wire.topics import DEFAULT_PREFIX, Station

SITE_FILE = "site.json"
ISSUED_FILE = "issued.json"
BROKER = "broker"
"""The broker's name among the certificates; stations have slashes in theirs, and no client may be called so."""

MOST_NAME_CHARACTERS = 64
"""Of a common name (RFC 5280, ub-common-name); OpenSSL refuses longer ones."""

T = TypeVar("T")
Days = Annotated[int, msgspec.Meta(ge=1, le=3650)]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]


class Site(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A site as `site.json` keeps it.

    Attributes:
        hosts: Names and addresses of the broker; the first one is what stations and services connect to.
        listen: Address the broker listens on; all of its machine if empty.
        broker_folder: Where `broker/` will be on the broker's machine.
        data_folder: Where the broker keeps retained messages.
        days: How long certificates are valid.
        stations: `site/line/station` of each.
        clients: Name -> role of all clients that are not stations.
    """

    format: Literal[1] = 1
    name: str
    hosts: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    port: Port = 8883
    listen: str = ""
    prefix: str = DEFAULT_PREFIX
    broker_folder: str
    data_folder: str
    days: Days = 397
    stations: tuple[str, ...] = ()
    clients: dict[str, ClientRole] = {}


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate the authority has signed: a line of `issued.json`. Times are seconds since the epoch.

    Attributes:
        serial: In hexadecimal digits.
    """

    name: str
    serial: str
    not_after: int
    revoked_at: int | None = None

    def ends(self) -> datetime:
        """Until when it is valid."""
        return datetime.fromtimestamp(self.not_after, UTC)


def read_site(folder: Path) -> Site | None:
    """Read the site in a folder; None if there is none yet.

    Raises:
        MisconfiguredError: Its file is damaged.
    """
    path = folder / SITE_FILE
    if not path.exists():
        return None
    return _decoded(path, Site)


def write_site(folder: Path, site: Site) -> None:
    """Write a site; raises `UnavailableError` if the disk refuses."""
    private_files.write(folder / SITE_FILE, msgspec.json.format(msgspec.json.encode(site), indent=2) + b"\n")


def read_issued(folder: Path) -> list[Certificate]:
    """Read every certificate issued so far, oldest first.

    Raises:
        MisconfiguredError: The list is damaged.
    """
    path = authority_folder(folder) / ISSUED_FILE
    return _decoded(path, list[Certificate]) if path.exists() else []


def write_issued(folder: Path, issued: list[Certificate]) -> None:
    """Write the list of certificates; raises `UnavailableError` if the disk refuses."""
    content = msgspec.json.format(msgspec.json.encode(issued), indent=2) + b"\n"
    private_files.write(authority_folder(folder) / ISSUED_FILE, content, private=True)


def authority_folder(folder: Path) -> Path:
    """The folder of the authority's key."""
    return folder / "authority"


def signing_folder(folder: Path) -> Path:
    """The folder of the key that signs profiles and artifacts."""
    return folder / "signing"


def folder_of(folder: Path, site: Site, name: str) -> Path:
    """The folder of a member of the site: the broker, a station or a client.

    Raises:
        MisconfiguredError: The site has no member of that name.
    """
    if name == BROKER:
        return folder / "broker"
    if name in site.stations:
        station = Station.parse(name)
        return folder / "stations" / station.line / station.name
    if name in site.clients:
        return folder / ("services" if site.clients[name] == "analytics" else "clients") / name
    known = ", ".join([BROKER, *site.stations, *site.clients])
    raise MisconfiguredError(f"this site has no member {name!r}", where=str(folder), remedy=f"choose from {known}")


def _decoded(path: Path, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.MsgspecError, ValueError) as error:
        raise MisconfiguredError(
            f"the file is damaged: {error}", where=str(path), remedy="bring it back from a copy"
        ) from error
