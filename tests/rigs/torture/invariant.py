"""The books after a round: produced = judged + dropped by reason, nothing lost, nothing judged twice."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from analytics_service.audit.reconciliation import StationBooks, books_of
from analytics_service.records.records import Records
from edge_node.outbox.journal import JournalLine
from patchline.replay.program_records import recorded_verdicts
from patchline.replay.reconciliation import Account, join
from patchline.replay.results import unseen_drops
from tests.rigs.torture.fault import Fault
from tests.rigs.torture.ground import STATION
from tests.rigs.torture.rig import Rig

_SEEN_SECONDS = 1.0
"""How long the watcher may take to see what the station has seen; the records are asked anyway."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The books of a rig, over all its rounds so far.

    Attributes:
        lost: Parts with neither verdict nor drop, or exposed and unknown to the station.
        duplicated: Parts judged twice or otherwise than before, and gates that moved twice.
        violations: Everything that breaks the promise, one sentence each.
    """

    account: Account
    lost: int
    duplicated: int
    violations: tuple[str, ...]


def examine(rig: Rig, fault: Fault) -> Finding:
    """Join the truth ledger with every witness: wire, records, journal, source and gate."""
    rig.until(lambda: {entry.part_id for entry in rig.ledger} <= rig.judged(), _SEEN_SECONDS)
    journal = rig.journal()
    sightings = [
        *rig.watcher.sightings(),
        *recorded_verdicts(rig.records_url, [line.inspection_id for line in journal]),
    ]
    known = {sighting.receipt.inspection_id for sighting in sightings}
    account = join(rig.ledger, [*sightings, *unseen_drops(str(STATION), journal, known)])
    told = [*rig.troubles, *account.faults(drops_allowed=True)]
    told += [f"a part was dropped for {reason}" for reason in account.dropped if reason not in fault.drops]
    unknown = sorted(set(rig.exposed()) - {line.part_id for line in journal})
    if unknown:
        told.append(f"{len(unknown)} exposed parts have no line in the journal: {', '.join(unknown[:3])}")
    twice = [part for part, times in Counter(rig.moved()).items() if times > 1]
    told += [f"the gate moved more than once for {inspection}" for inspection in twice]
    told += _of_the_journal(rig, journal)
    books, dead_letters = _books(rig)
    told += _of_the_records(books, account, fault)
    if fault.dead_letters and not dead_letters:
        told.append("no dead letter: nothing was injected")
    return Finding(
        account=account,
        lost=len(account.missing) + len(unknown),
        duplicated=len(account.conflicts) + len(twice) + (0 if fault.strangers else books.repeated),
        violations=tuple(told),
    )


def _of_the_journal(rig: Rig, journal: Sequence[JournalLine]) -> list[str]:
    told = []
    numbers = sorted(line.sequence for line in journal)
    if numbers != list(range(1, len(numbers) + 1)):
        told.append("the station's numbers have gaps or repeats")
    written = {line.inspection_id for line in journal if line.gate_action}
    silent = set(rig.moved()) - written
    if silent:
        told.append(f"{len(silent)} gates moved that the journal knows nothing of")
    return told


def _books(rig: Rig) -> tuple[StationBooks, int]:
    """What the records say of the station, and how many dead letters they hold."""
    records = Records(rig.records_url)
    try:
        books = next(iter(books_of(records, str(STATION))), StationBooks(str(STATION)))
        return books, records.counts()["dead_letters"]
    finally:
        records.close()


def _of_the_records(books: StationBooks, account: Account, fault: Fault) -> list[str]:
    """What `patchline audit` would say, and whether it counts as many parts as the ledger."""
    told: list[str] = []
    if fault.strangers:
        return told
    if books.gaps:
        told.append(f"the audit misses numbers: {books.gaps[:3]}")
    if books.repeated:
        told.append(f"{books.repeated} numbers stand twice in the records")
    decided = sum(books.judged.values()) + sum(books.dropped.values())
    if decided != account.produced:
        told.append(f"the records decided {decided} parts, the ledger has {account.produced}")
    return told
