"""Makes a site, adds to it, and renews and revokes certificates. A repeated run changes no existing key."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from broker_config import private_files, settings_files
from broker_config.authority import CERTIFICATE_FILE, Authority
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
from broker_config.site_options import SiteOptions, checked_hosts, extended, new_site
from patchline.runtime import signing
from patchline.wire.errors import MisconfiguredError


@dataclass(frozen=True)
class Provisioned:
    """A site after a run.

    Attributes:
        added: The members that got a certificate in this run.
        created: Whether the site is new. If not, a running broker must read its access list again.
    """

    site: Site
    added: tuple[str, ...]
    created: bool


def provision(folder: Path, options: SiteOptions, *, now: datetime) -> Provisioned:
    """Make a site, or add stations and clients to one. Existing keys stay.

    Raises:
        MisconfiguredError: A name, host or number is wrong, or contradicts the site that is there.
        UnavailableError: The disk refuses.
    """
    before = read_site(folder)
    site = new_site(folder, options) if before is None else extended(before, options)
    if before is None:
        private_files.private_folder(folder, private_files.PASSAGE_MODE)
        authority = Authority.create(authority_folder(folder), site.name, now=now)
        _make_signing_key(folder)
    else:
        authority = Authority.open(authority_folder(folder))
        _take_back_settings(folder, before, site)
    write_site(folder, site)
    issued = read_issued(folder)
    known = {certificate.name for certificate in issued}
    added = [name for name in (BROKER, *site.clients, *site.stations) if name not in known]
    for name in added:
        issued.append(_issue(folder, site, authority, name, now=now))
        write_issued(folder, issued)
        _write_settings(folder, site, name)
    _write_broker(folder, site, authority, issued, now=now)
    return Provisioned(site, tuple(added), created=before is None)


def renew(
    folder: Path, name: str, *, now: datetime, days: int | None = None, hosts: tuple[str, ...] = ()
) -> Certificate:
    """Give a member a new key and certificate; the old certificate is valid until it expires or is revoked.

    Args:
        folder: The site's.
        name: The member: `broker`, a station or a client.
        now: The time.
        days: How long the new one is valid; the site's own number unless given.
        hosts: For the broker: its names and addresses from now on.

    Raises:
        MisconfiguredError: There is no such site or member, or a host is wrong.
        UnavailableError: The disk refuses.
    """
    site = _existing(folder)
    folder_of(folder, site, name)
    if hosts:
        if name != BROKER:
            raise MisconfiguredError(f"{name} is no server and has no host", where="--broker-host")
        site = msgspec.structs.replace(site, hosts=checked_hosts(hosts))
        write_site(folder, site)
    authority = Authority.open(authority_folder(folder))
    certificate = _issue(folder, site, authority, name, now=now, days=days)
    write_issued(folder, [*read_issued(folder), certificate])
    return certificate


def revoke(folder: Path, name: str, *, now: datetime) -> list[Certificate]:
    """Revoke every certificate of a member. The broker must get the new list and be restarted.

    Returns:
        The certificates revoked now.

    Raises:
        MisconfiguredError: There is no such site or member, or it has no certificate left to revoke.
        UnavailableError: The disk refuses.
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
    private_files.write(signing_folder(folder) / settings_files.SIGNED_BY, public)


def _write_settings(folder: Path, site: Site, name: str) -> None:
    """Settings are written once; later changes by a person stay."""
    place = folder_of(folder, site, name)
    if name in site.stations:
        settings = {"edge.toml": settings_files.edge_settings(site, name)}
    elif site.clients.get(name) == "analytics":
        settings = {"analytics.toml": settings_files.analytics_settings(site, name)}
    else:
        return
    for file, text in settings.items():
        if not (place / file).exists():
            private_files.write(place / file, text.encode())
    verify_key = (signing_folder(folder) / settings_files.SIGNED_BY).read_bytes()
    private_files.write(place / settings_files.SIGNED_BY, verify_key)


def _take_back_settings(folder: Path, before: Site, site: Site) -> None:
    """Remove the broker's settings where they changed, so that they are written again; never ones edited by hand."""
    file = folder / BROKER / "mosquitto.conf"
    if settings_files.broker_settings(before) == settings_files.broker_settings(site) or not file.exists():
        return
    if file.read_text(encoding="utf-8") != settings_files.broker_settings(before):
        raise MisconfiguredError(
            "the broker's settings were edited by hand and are not written over",
            where=str(file),
            remedy=f"move it away and run this again, or change its folders to {site.broker_folder} there",
        )
    file.unlink()


def _write_broker(
    folder: Path, site: Site, authority: Authority, issued: Iterable[Certificate], *, now: datetime
) -> None:
    place = folder_of(folder, site, BROKER)
    for file, text in (
        ("mosquitto.conf", settings_files.broker_settings(site)),
        ("local.acl", settings_files.LOCAL_RULES),
    ):
        if not (place / file).exists():
            private_files.write(place / file, text.encode(), private=file.endswith(".acl"))
    private_files.private_folder(place / "data")
    local = (place / "local.acl").read_text(encoding="utf-8")
    # Mosquitto asks that nobody else can read an access list.
    private_files.write(place / "site.acl", settings_files.broker_rules(site, local).encode(), private=True)
    revoked = [
        (int(each.serial, 16), datetime.fromtimestamp(each.revoked_at, now.tzinfo))
        for each in issued
        if each.revoked_at is not None
    ]
    private_files.write(place / "tls" / "ca.crl", authority.revocations(revoked, now=now))
