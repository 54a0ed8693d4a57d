"""Options for a new site, or for more in an existing one; they are checked before anything is written."""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from broker_config.site import BROKER, MOST_NAME_CHARACTERS, Site
from patchline.wire.channels import ClientRole
from patchline.wire.errors import MisconfiguredError
from patchline.wire.topics import DEFAULT_PREFIX, SERVICE_LINE, Station, Topics

DEFAULT_CLIENTS: dict[str, ClientRole] = {
    "analytics": "analytics",
    "operator": "operator",
    "hmi": "hmi",
    "plc": "plc",
    "exporter": "exporter",
}
_CLIENT_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_HOST_NAME = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,62}))*")


@dataclass(frozen=True, kw_only=True)
class SiteOptions:
    """What a new site has, or what is added to an existing one.

    Attributes:
        name: The site; the first level of its stations.
        hosts: Names and addresses of the broker.
        stations: `line/station`, or `site/line/station`, of each.
        clients: Name -> role of all other clients.
        broker_folder: Where `broker/` will be on the broker's machine; where it is now if empty.
        data_folder: Where the broker keeps retained messages; `data` in its folder if empty.
    """

    name: str = ""
    hosts: tuple[str, ...] = ()
    stations: tuple[str, ...] = ()
    clients: Mapping[str, ClientRole] = field(default_factory=dict)
    port: int = 8883
    listen: str = ""
    prefix: str = DEFAULT_PREFIX
    days: int = 397
    broker_folder: str = ""
    data_folder: str = ""


def new_site(folder: Path, options: SiteOptions) -> Site:
    """A new site.

    Args:
        folder: Where it will be kept.
        options: At least its name and its broker.

    Raises:
        MisconfiguredError: Its name or its broker is missing, or an option is wrong.
    """
    if not options.name or not options.hosts:
        raise MisconfiguredError(
            "there is no site here yet, and a new one needs a name and a broker",
            where=str(folder),
            remedy="give --site and --broker-host",
        )
    Station(options.name, "line", "station")
    Topics(options.prefix)
    broker = str(options.broker_folder or (folder / "broker").resolve())
    site = Site(
        name=options.name,
        hosts=checked_hosts(options.hosts),
        port=options.port,
        listen=options.listen,
        prefix=options.prefix,
        broker_folder=broker,
        data_folder=options.data_folder or f"{broker}/data",
        days=options.days,
        clients=dict(DEFAULT_CLIENTS),
    )
    return extended(site, options)


def extended(site: Site, options: SiteOptions) -> Site:
    """A site with the stations and clients of the options added.

    Raises:
        MisconfiguredError: The options contradict the site, or one is wrong.
    """
    if options.name and options.name != site.name:
        raise MisconfiguredError(
            f"this folder is of site {site.name!r}, not {options.name!r}",
            where="--out",
            remedy="give each site a folder",
        )
    if options.hosts and options.hosts != site.hosts:
        raise MisconfiguredError(
            f"the site's broker is {', '.join(site.hosts)}",
            where="--broker-host",
            remedy="to change it: patchline provision renew broker --broker-host HOST",
        )
    stations = [_station(site, text) for text in options.stations]
    clients = {_client(name): role for name, role in options.clients.items()}
    changed = [name for name, role in clients.items() if site.clients.get(name, role) != role]
    if changed:
        raise MisconfiguredError(f"{changed[0]} has another role already", where="--client", remedy="choose a new name")
    folder = options.broker_folder or site.broker_folder
    beside = site.data_folder == f"{site.broker_folder}/data"
    return msgspec.structs.replace(
        site,
        broker_folder=folder,
        data_folder=options.data_folder or (f"{folder}/data" if beside else site.data_folder),
        stations=tuple(dict.fromkeys([*site.stations, *stations])),
        clients=site.clients | clients,
    )


def _station(site: Site, text: str) -> str:
    station = Station.parse(text if text.count("/") > 1 else f"{site.name}/{text}")
    if station.site != site.name:
        raise MisconfiguredError(
            f"{station} is not of site {site.name}", where="--station", remedy="write line/station"
        )
    if station.line == SERVICE_LINE:
        raise MisconfiguredError(f"the line {SERVICE_LINE} is the services' own", where="--station")
    if len(str(station)) > MOST_NAME_CHARACTERS:
        raise MisconfiguredError(
            f"{station} has {len(str(station))} characters, and a certificate's name holds {MOST_NAME_CHARACTERS}",
            where="--station",
            remedy="choose shorter names",
        )
    return str(station)


def _client(name: str) -> str:
    if not _CLIENT_NAME.fullmatch(name) or name == BROKER:
        raise MisconfiguredError(
            f"{name!r} cannot be a client's name",
            where="--client",
            remedy=f"use 1 to 64 letters, digits, '_' or '-', and not {BROKER}",
        )
    return name


def checked_hosts(hosts: Iterable[str]) -> tuple[str, ...]:
    """The hosts without repetitions, in order.

    Raises:
        MisconfiguredError: One is neither a name nor an address.
    """
    for host in hosts:
        try:
            ipaddress.ip_address(host)
        except ValueError as error:
            if not _HOST_NAME.fullmatch(host):
                raise MisconfiguredError(
                    f"{host!r} is neither a host name nor an address", where="--broker-host", remedy="without a port"
                ) from error
    return tuple(dict.fromkeys(hosts))
