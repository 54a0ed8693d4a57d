"""What a fault asks of the line it is done to."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What a line must be like so that a fault can happen to it.

    Attributes:
        workers: Analytics services; more than one share the parts.
        proxied: The station reaches the broker by a chaos proxy.
        edge_place: Where the station keeps its outbox: a folder, or a small file system of its own.
        records_place: The same for the service's records.
        fake_clock: The station's clock can be set.
        narrow: The station's network is its own.
        site: The broker demands certificates of a provisioned site.
        broker_lines: More lines of the broker's configuration.
        budget_bytes: The outbox's.
        poison: Every so manyth part is a picture that cannot be made small; 0 for none.
        postgres: The records are kept by PostgreSQL.
    """

    workers: int = 1
    proxied: bool = False
    edge_place: str = "folder"
    records_place: str = "folder"
    fake_clock: bool = False
    narrow: bool = False
    site: bool = False
    broker_lines: tuple[str, ...] = ()
    budget_bytes: int = 64 * 1024**2
    poison: int = 0
    postgres: bool = False
