"""`patchline provision`: a site with keys, certificates and access rules of its own."""

import importlib
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from rich.console import Console
from rich.table import Table

from broker_config.site import BROKER, SITE_FILE, Certificate, Site, folder_of, read_issued, read_site
from broker_config.site_options import SiteOptions
from patchline.cli.errors import PlainErrors
from patchline.cli.option_groups import BrokerOptions, with_groups
from patchline.wire.channels import CLIENT_ROLES, ClientRole
from patchline.wire.errors import MisconfiguredError
from patchline.wire.topics import DEFAULT_PREFIX

NEAR_DAYS = 30.0
"""Below this a certificate is called due; as long before its end the programs begin to warn."""

_DAY_SECONDS = 86_400.0

_READ_AGAIN = (
    "then make the broker read its {what} again: systemctl reload mosquitto, or kill -HUP $(pidof mosquitto), "
    "or docker compose kill -s HUP broker"
)

_HELP = r"""Make a site: authority, certificates, broker settings, access rules, and a ready folder for every machine.

Run it again with further --station or --client to add them; no key that is there is touched. Needs the extra `site`.

[bold]Examples[/bold]

    patchline provision --out site --site plant --broker-host broker.lan \
        --station line-1/top --station line-1/side

    patchline provision --out site --station line-2/cam \
        --client plc=press-plc

    patchline provision list --out site

    patchline provision renew plant/line-1/top --out site

    patchline provision revoke plant/line-1/top --out site
"""

app = typer.Typer(
    name="provision",
    cls=PlainErrors,
    help=_HELP,
    invoke_without_command=True,
    rich_markup_mode="rich",
    add_completion=False,
)

Out = Annotated[Path, typer.Option("--out", help="The site's folder.", show_default=False)]
Name = Annotated[str, typer.Argument(help="As 'patchline provision list' says it.", show_default=False)]


@app.callback()
@with_groups
def make(
    context: typer.Context,
    *,
    out: Annotated[Path | None, typer.Option("--out", help="The site's folder.", show_default=False)] = None,
    site: Annotated[str, typer.Option("--site", help="Its name, the first level of its stations.")] = "",
    broker_host: Annotated[
        list[str] | None, typer.Option("--broker-host", help="Name or address of the broker; repeat it for others.")
    ] = None,
    station: Annotated[list[str] | None, typer.Option("--station", help="LINE/STATION; repeat it.")] = None,
    stations: Annotated[
        Path | None, typer.Option("--stations", help="File with a LINE/STATION a line; # begins a comment.")
    ] = None,
    client: Annotated[
        list[str] | None, typer.Option("--client", help=f"ROLE=NAME, a role of {', '.join(CLIENT_ROLES)}; repeat it.")
    ] = None,
    broker: BrokerOptions,
    prefix: Annotated[str, typer.Option("--prefix", help="What the topic tree hangs under.")] = DEFAULT_PREFIX,
    days: Annotated[int, typer.Option("--days", min=1, max=3650, help="How long certificates hold.")] = 397,
) -> None:
    """Make a site, or add to one."""
    if context.invoked_subcommand is not None:
        return
    if out is None:
        raise MisconfiguredError("the site's folder is not named", where="--out", remedy="give --out DIR")
    provisioning = _provisioning()
    options = SiteOptions(
        name=site,
        hosts=tuple(broker_host or ()),
        stations=(*(station or ()), *_listed(stations)),
        clients=_clients(client or []),
        port=broker.port,
        listen=broker.listen,
        prefix=prefix,
        days=days,
        broker_folder=broker.broker_folder,
        data_folder=broker.data_folder,
    )
    done = provisioning.provision(out, options, now=_now())
    _say_done(out, done.site, done.added, created=done.created)


@app.command("list")
def list_certificates(out: Out) -> None:
    """Everybody's certificate, and how many days it still holds.

    Example: patchline provision list --out site
    """
    site, now = read_site(out), _now()
    if site is None:
        raise MisconfiguredError("there is no site here", where=str(out), remedy=f"name the folder with {SITE_FILE}")
    table = Table("name", "role", "until", "days", "state", title=f"site {site.name}")
    for each in {certificate.name: certificate for certificate in read_issued(out)}.values():
        days = (each.not_after - now.timestamp()) / _DAY_SECONDS
        table.add_row(each.name, _role(site, each.name), f"{each.ends():%Y-%m-%d}", f"{days:.0f}", _state(each, days))
    Console().print(table)


@app.command()
def renew(
    name: Name,
    out: Out,
    *,
    days: Annotated[int | None, typer.Option("--days", min=1, max=3650, help="How long it holds.")] = None,
    broker_host: Annotated[
        list[str] | None, typer.Option("--broker-host", help="For the broker: what it is called from now on.")
    ] = None,
) -> None:
    """Give somebody a new key and certificate; the old one holds until it expires or is revoked.

    Example: patchline provision renew plant/line-1/top --out site
    """
    made = _provisioning().renew(out, name, now=_now(), days=days, hosts=tuple(broker_host or ()))
    _say(f"{name} has a new certificate until {made.ends():%Y-%m-%d}; take its folder's tls/ to its machine")
    _say(_READ_AGAIN.format(what="certificate") if name == BROKER else "then restart its program")


@app.command()
def revoke(name: Name, out: Out) -> None:
    """Declare everybody's certificates of that name void, such as those of a stolen edge node.

    Example: patchline provision revoke plant/line-1/top --out site
    """
    revoked = _provisioning().revoke(out, name, now=_now())
    _say(f"{len(revoked)} certificates of {name} are void")
    _say("now take broker/tls/ca.crl to the broker and restart it, which ends open connections, too; nothing is lost")


def _provisioning() -> Any:
    """The module that needs the extra `site`."""
    return importlib.import_module("broker_config.provision")


def _now() -> Any:
    return importlib.import_module("broker_config.authority").utc_now()


def _listed(path: Path | None) -> list[str]:
    if path is None:
        return []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        raise MisconfiguredError(
            f"the list of stations cannot be read: {why}",
            where=str(path),
            remedy="name a file with a LINE/STATION a line",
        ) from error
    return [text for line in lines if (text := line.partition("#")[0].strip())]


def _clients(given: list[str]) -> dict[str, ClientRole]:
    clients: dict[str, ClientRole] = {}
    for each in given:
        wanted, _, name = each.partition("=")
        role = next((role for role in get_args(ClientRole) if role == wanted), None)
        if role is None or not name:
            raise MisconfiguredError(
                f"{each!r} is not a client",
                where="--client",
                remedy=f"write ROLE=NAME, a role of {', '.join(CLIENT_ROLES)}",
            )
        clients[name] = role
    return clients


def _role(site: Site, name: str) -> str:
    if name == BROKER:
        return BROKER
    return site.clients.get(name, "station")


def _state(certificate: Certificate, days: float) -> str:
    if certificate.revoked_at is not None:
        return "[red]revoked[/red]"
    if days < 0:
        return "[red]expired[/red]"
    return f"[yellow]renew within {NEAR_DAYS:.0f} days[/yellow]" if days < NEAR_DAYS else "valid"


def _say_done(out: Path, site: Site, added: tuple[str, ...], *, created: bool) -> None:
    _say(f"site {site.name}: {len(site.stations)} stations, {len(added)} new certificates in {out}")
    if not created:
        _say_steps_of_addition(out, site, added)
        return
    _say(
        f"  {out}/broker      to the broker's machine, as {site.broker_folder}, given to its user: chown -R mosquitto:"
    )
    _say(f"  {out}/services    to the analytics service's machine")
    _say(f"  {out}/stations    each folder to its edge node")
    _say(f"  {out}/authority   off this machine: its key makes a stranger one of yours")
    _say(f"  {out}/signing     to where you run commission --signing-key")


def _say_steps_of_addition(out: Path, site: Site, added: tuple[str, ...]) -> None:
    for name in added:
        _say(f"  {folder_of(out, site, name)}   to its machine")
    _say(f"  {out}/broker/site.acl   to the broker's machine, as {site.broker_folder}/site.acl")
    _say(_READ_AGAIN.format(what="access list"))
    _say("Until then the broker denies what new stations and clients send and keeps from them what others send.")


def _say(text: str) -> None:
    Console(soft_wrap=True, highlight=False).print(text, markup=False)
