"""Makes a site, adds to it, and renews and revokes certificates. Run again, it touches no key that is there."""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from broker_config import node_files, private_files
from broker_config.access_list import Role
from broker_config.authority import CERTIFICATE_FILE, MOST_NAME_CHARACTERS, Authority
from broker_config.site import (
    BROKER,
    Certificate,
    Site,
    authority_folder,
    folder_of,
    read_issued,
    read_site,
    signing_folder,
    write_issued,
    write_site,
)
from wire_contract import signing
from wire_contract.errors import MisconfiguredError
from wire_contract.topics import DEFAULT_PREFIX, SERVICE_LINE, Station, Topics

DEFAULT_CLIENTS: dict[str, Role] = {
    "analytics": "analytics",
    "operator": "operator",
    "hmi": "hmi",
    "plc": "plc",
    "exporter": "exporter",
}
_CLIENT_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_HOST_NAME = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,62}))*")


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a site should have; for a site that exists, what it should have besides.

    Attributes:
        name: The site; the first level of its stations.
        hosts: Names and addresses of the broker.
        stations: `line/station`, or `site/line/station`, of each.
        clients: Name -> role of everybody else.
        broker_folder: Where `broker/` will lie on the broker's machine; where it lies now when empty.
        data_folder: Where the broker keeps what it retains; `data` in its folder when empty.
    """

    name: str = ""
    hosts: tuple[str, ...] = ()
    stations: tuple[str, ...] = ()
    clients: Mapping[str, Role] = field(default_factory=dict)
    port: int = 8883
    listen: str = ""
    prefix: str = DEFAULT_PREFIX
    days: int = 397
    broker_folder: str = ""
    data_folder: str = ""


@dataclass(frozen=True)
class Provisioned:
    """A site after a run.

    Attributes:
        added: Who got a certificate in this run.
    """

    site: Site
    added: tuple[str, ...]


def provision(folder: Path, wish: Wish, *, now: datetime) -> Provisioned:
    """Make a site, or add stations and clients to one; whoever has a key keeps it.

    Raises:
        MisconfiguredError: A name, host or number is wrong, or contradicts the site that is there.
        UnavailableError: The disk does not take it.
    """
    before = read_site(folder)
    site = _new(folder, wish) if before is None else _more(before, wish)
    if before is None:
        private_files.private_folder(folder)
        authority = Authority.create(authority_folder(folder), site.name, now=now)
        _make_signing_key(folder)
    else:
        authority = Authority.open(authority_folder(folder))
    write_site(folder, site)
    issued = read_issued(folder)
    known = {certificate.name for certificate in issued}
    added = [name for name in (BROKER, *site.clients, *site.stations) if name not in known]
    for name in added:
        issued.append(_issue(folder, site, authority, name, now=now))
        write_issued(folder, issued)
        _write_settings(folder, site, name)
    _write_broker(folder, site, authority, issued, now=now)
    return Provisioned(site, tuple(added))


def renew(
    folder: Path, name: str, *, now: datetime, days: int | None = None, hosts: tuple[str, ...] = ()
) -> Certificate:
    """Give somebody a new key and certificate; the old certificate holds until it expires or is revoked.

    Args:
        folder: The site's.
        name: Whose.
        now: The time.
        days: How long the new one holds; as the site says unless given.
        hosts: For the broker: what it is called from now on.

    Raises:
        MisconfiguredError: There is no such site, nobody of it is called so, or a host is none.
        UnavailableError: The disk does not take it.
    """
    site = _existing(folder)
    folder_of(folder, site, name)
    if hosts:
        if name != BROKER:
            raise MisconfiguredError(f"{name} is no server and has no host", where="--broker-host")
        site = msgspec.structs.replace(site, hosts=_checked_hosts(hosts))
        write_site(folder, site)
    authority = Authority.open(authority_folder(folder))
    certificate = _issue(folder, site, authority, name, now=now, days=days)
    write_issued(folder, [*read_issued(folder), certificate])
    return certificate


def revoke(folder: Path, name: str, *, now: datetime) -> list[Certificate]:
    """Declare every certificate of somebody void; the broker knows once it has the new list and was restarted.

    Returns:
        The certificates revoked now.

    Raises:
        MisconfiguredError: There is no such site, nobody of it is called so, or nothing is left to be revoked.
        UnavailableError: The disk does not take it.
    """
    site = _existing(folder)
    folder_of(folder, site, name)
    authority = Authority.open(authority_folder(folder))
    moment = int(now.timestamp())
    before = read_issued(folder)
    after = [
        msgspec.structs.replace(each, revoked_at=moment) if each.name == name and each.revoked_at is None else each
        for each in before
    ]
    revoked = [new for old, new in zip(before, after, strict=True) if old is not new]
    if not revoked:
        raise MisconfiguredError(f"{name} has no certificate that could be revoked", where=str(folder))
    write_issued(folder, after)
    _write_broker(folder, site, authority, after, now=now)
    return revoked


def _existing(folder: Path) -> Site:
    site = read_site(folder)
    if site is None:
        raise MisconfiguredError(
            "there is no site here", where=str(folder), remedy="make one: patchline provision --out DIR --site NAME ..."
        )
    return site


def _new(folder: Path, wish: Wish) -> Site:
    if not wish.name or not wish.hosts:
        raise MisconfiguredError(
            "there is no site here yet, and a new one needs a name and a broker",
            where=str(folder),
            remedy="give --site and --broker-host",
        )
    Station(wish.name, "line", "station")
    Topics(wish.prefix)
    broker = str(wish.broker_folder or (folder / "broker").resolve())
    site = Site(
        name=wish.name,
        hosts=_checked_hosts(wish.hosts),
        port=wish.port,
        listen=wish.listen,
        prefix=wish.prefix,
        broker_folder=broker,
        data_folder=wish.data_folder or f"{broker}/data",
        days=wish.days,
        clients=dict(DEFAULT_CLIENTS),
    )
    return _more(site, wish)


def _more(site: Site, wish: Wish) -> Site:
    if wish.name and wish.name != site.name:
        raise MisconfiguredError(
            f"this folder is of site {site.name!r}, not {wish.name!r}", where="--out", remedy="give each site a folder"
        )
    if wish.hosts and wish.hosts != site.hosts:
        raise MisconfiguredError(
            f"the site's broker is {', '.join(site.hosts)}",
            where="--broker-host",
            remedy="to change it: patchline provision renew broker --broker-host HOST",
        )
    stations = [_station(site, text) for text in wish.stations]
    clients = {_client(name): role for name, role in wish.clients.items()}
    changed = [name for name, role in clients.items() if site.clients.get(name, role) != role]
    if changed:
        raise MisconfiguredError(f"{changed[0]} has another role already", where="--client", remedy="choose a new name")
    return msgspec.structs.replace(
        site,
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


def _checked_hosts(hosts: Iterable[str]) -> tuple[str, ...]:
    for host in hosts:
        try:
            ipaddress.ip_address(host)
        except ValueError as error:
            if not _HOST_NAME.fullmatch(host):
                raise MisconfiguredError(
                    f"{host!r} is neither a host name nor an address", where="--broker-host", remedy="without a port"
                ) from error
    return tuple(dict.fromkeys(hosts))


def _issue(
    folder: Path, site: Site, authority: Authority, name: str, *, now: datetime, days: int | None = None
) -> Certificate:
    place, own = folder_of(folder, site, name) / "tls", BROKER if name == BROKER else "client"
    issued = authority.issue(
        name,
        "server" if name == BROKER else "client",
        hosts=site.hosts if name == BROKER else (),
        not_before=now,
        not_after=now + timedelta(days=days or site.days),
    )
    private_files.private_folder(place)
    private_files.write(place / f"{own}.key", issued.key, private=True)
    private_files.write(place / f"{own}.crt", issued.certificate)
    private_files.write(place / CERTIFICATE_FILE, authority.certificate)
    return Certificate(name=name, serial=f"{issued.serial:x}", not_after=int(issued.not_after.timestamp()))


def _make_signing_key(folder: Path) -> None:
    private, public = signing.generate()
    private_files.private_folder(signing_folder(folder))
    private_files.write(signing_folder(folder) / "signing.key", private, private=True)
    private_files.write(signing_folder(folder) / node_files.SIGNED_BY, public)


def _write_settings(folder: Path, site: Site, name: str) -> None:
    """Settings are written once: from then on they are their owner's to change."""
    place = folder_of(folder, site, name)
    if name in site.stations:
        settings = {"edge.toml": node_files.edge_settings(site, name)}
    elif site.clients.get(name) == "analytics":
        settings = {"analytics.toml": node_files.analytics_settings(site, name)}
    else:
        return
    for file, text in settings.items():
        if not (place / file).exists():
            private_files.write(place / file, text.encode())
    verify_key = (signing_folder(folder) / node_files.SIGNED_BY).read_bytes()
    private_files.write(place / node_files.SIGNED_BY, verify_key)


def _write_broker(
    folder: Path, site: Site, authority: Authority, issued: Iterable[Certificate], *, now: datetime
) -> None:
    place = folder_of(folder, site, BROKER)
    for file, text in (("mosquitto.conf", node_files.broker_settings(site)), ("local.acl", node_files.LOCAL_RULES)):
        if not (place / file).exists():
            private_files.write(place / file, text.encode(), private=file.endswith(".acl"))
    private_files.private_folder(place / "data")
    local = (place / "local.acl").read_text(encoding="utf-8")
    # Mosquitto asks that nobody else can read an access list.
    private_files.write(place / "site.acl", node_files.broker_rules(site, local).encode(), private=True)
    revoked = [
        (int(each.serial, 16), datetime.fromtimestamp(each.revoked_at, now.tzinfo))
        for each in issued
        if each.revoked_at is not None
    ]
    private_files.write(place / "tls" / "ca.crl", authority.revocations(revoked, now=now))
