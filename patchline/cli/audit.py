"""`patchline audit`: is every part judged, or dropped with a reason?"""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from edge_node.outbox.journal import read_books
from patchline.cli.run_line import EXIT_NOT_PROVEN
from patchline.wire.errors import MisconfiguredError
from patchline.wire.topics import Station

if TYPE_CHECKING:
    from analytics_service.records.records import Records
    from patchline.cli.accounts import Account

EXAMPLES = r"""Reconcile the records with the stations' numbers, which have no gaps: produced = judged + dropped.

Service and stations may be running. Without a station's outbox, what it still holds is not known; a number that is
missing for longer than the grace then counts as unaccounted for.

[bold]Examples[/bold]

    patchline audit --config analytics.toml
    patchline audit --records sqlite:///records.db \
        --station plant/line1/cam1 --edge-journal outbox.sqlite
    patchline audit --config analytics.toml --json

Exit codes: 0 every part is accounted for · 1 some are not · 2 a setting or file is wrong · 3 the records are away.
"""

_SHOWN_RUNS = 5


def command(
    *,
    config: Annotated[Path | None, typer.Option("--config", help="The service's settings, a TOML file.")] = None,
    records: Annotated[str, typer.Option("--records", help="The records' database instead, a SQLAlchemy URL.")] = "",
    station: Annotated[str, typer.Option("--station", help="Only this one, site/line/station.")] = "",
    edge_journal: Annotated[
        list[Path] | None, typer.Option("--edge-journal", help="A station's outbox file; repeatable.")
    ] = None,
    grace: Annotated[
        float | None, typer.Option("--grace", min=0, help="Seconds a number may be missing; as set, else 900.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the accounts as JSON.")] = False,
) -> None:
    """Reconcile the records with the stations' numbers."""
    from analytics_service.audit.reconciliation import books_of  # noqa: PLC0415 - the base install has no analytics
    from patchline.cli.accounts import reconcile  # noqa: PLC0415

    if station:
        Station.parse(station)
    book, set_grace = _open(config, records)
    books = books_of(book, station)
    others = [] if books or not station else [each.station for each in books_of(book, "")]
    book.close()
    edges = [each for each in map(read_books, edge_journal or []) if station in {"", each.station}]
    if station and not books and not edges:
        raise MisconfiguredError(
            f"nothing of station {station} is on record",
            where="--station",
            remedy=f"choose from {', '.join(others)}" if others else "nothing else is, either",
        )
    accounts = reconcile(books, edges, now=time.time(), grace_seconds=set_grace if grace is None else grace)
    if json:
        content = [
            {**msgspec.to_builtins(account), "unaccounted_parts": account.unaccounted_parts} for account in accounts
        ]
        typer.echo(msgspec.json.format(msgspec.json.encode(content), indent=2))
    else:
        _tell(accounts)
    if any(account.unaccounted for account in accounts):
        raise typer.Exit(EXIT_NOT_PROVEN)


command.__doc__ = EXAMPLES


def _open(config: Path | None, url: str) -> "tuple[Records, float]":
    from analytics_service.records.records import Records  # noqa: PLC0415 - the base install has no analytics
    from analytics_service.settings import RecordsSection, read_settings  # noqa: PLC0415

    if (config is None) == (not url):
        raise MisconfiguredError("the records are named twice or not at all", remedy="give --config or --records")
    section = read_settings(config).records if config is not None else RecordsSection(url=url)
    file = section.url.partition("sqlite:///")[2]
    if file and not Path(file).is_file():
        raise MisconfiguredError("there are no records yet", where=section.url, remedy="look for the service's folder")
    return Records(section.url), section.grace_seconds


def _tell(accounts: "list[Account]") -> None:
    table = Table(title="Produced = judged + dropped", title_justify="left")
    for heading in ("station", "numbers", "judged", "dropped", "waiting", "unaccounted"):
        table.add_column(heading, overflow="fold")
    for account in accounts:
        lost = account.unaccounted_parts
        table.add_row(
            account.station,
            f"{account.first} to {account.last}",
            _listed(account.judged),
            _listed(account.dropped),
            str(account.waiting) if account.edge_known else "not known",
            f"[red]{lost}: {_ranges(account)}[/red]" if lost else "0",
        )
    console = Console(soft_wrap=False)
    console.print(table)
    for account in accounts:
        for sentence in _remarks(account):
            console.print(f"{account.station}: {sentence}", highlight=False, markup=False)
    if not accounts:
        console.print("nothing is on record")


def _listed(parts: dict[str, int]) -> str:
    told = ", ".join(f"{count} {name}" for name, count in parts.items())
    return f"{sum(parts.values())} ({told})" if told else "0"


def _ranges(account: "Account") -> str:
    runs = [str(first) if first == last else f"{first}-{last}" for first, last in account.unaccounted]
    return ", ".join(runs[:_SHOWN_RUNS]) + (" ..." if len(runs) > _SHOWN_RUNS else "")


def _remarks(account: "Account") -> list[str]:
    said = []
    if account.recent:
        said.append(f"{account.recent} numbers are missing for less than the grace; they may be on their way")
    if account.told_at_edge:
        told = ", ".join(f"{count} {outcome}" for outcome, count in account.told_at_edge.items())
        said.append(f"closed at the edge and not on record: {told}")
    if account.nameless:
        said.append(f"{account.nameless} unreadable messages did not say their number; missing ones may be among them")
    if account.repeated:
        said.append(f"{account.repeated} parts carry a number used before, as after an outbox was thrown away")
    if account.forgotten:
        said.append(f"numbers up to {account.forgotten} may have been deleted by retention and are not missed")
    return said
