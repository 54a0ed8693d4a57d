"""The proof: every part of the truth ledger against every verdict seen, from wherever it was seen."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from patchline.replay.ledger import Entry
from patchline.wire.messages import DropReceipt, Receipt, Verdict

_NAMED = 3
"""How many parts a sentence names before it stops."""

Witness = Literal["wire", "records"]


class Sighting(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict or drop receipt, as one observer saw it.

    Attributes:
        receipt: What it says.
        digest: sha256 of its bytes: identical repeats are allowed on the wire, anything else is not.
        witness: Whether the watcher saw it on the wire or it was read from the service's records afterwards.
        seen_at: Seconds since the epoch when the watcher saw it; 0 where nobody watched.
    """

    receipt: Receipt
    digest: str
    witness: Witness = "wire"
    seen_at: float = 0.0


class Fate(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one part of the ledger."""

    entry: Entry
    verdict: Verdict | None = None
    drop: DropReceipt | None = None
    seen_at: float = 0.0

    @property
    def rejected(self) -> bool:
        """Whether the verdict sends the part to the reject bin; one without a threshold condemns nothing."""
        return self.verdict is not None and self.verdict.outcome in {"anomalous", "unreadable"}


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """The reconciliation of a run. It is complete when `missing`, `strangers` and `conflicts` are empty.

    Attributes:
        fates: One a ledger entry, in the ledger's order.
        dropped: Stated reason -> parts with a drop receipt and no verdict.
        duplicates: Identical repeats on the wire beyond the first sighting of each receipt.
        unwitnessed: Receipts the watcher missed on the wire, known from the service's records only.
        damaged: `unreadable` verdicts about messages that were damaged on the way: the part was sent again and judged,
            or the message could not even say which part it was about.
        missing: Parts without any receipt.
        strangers: Receipts for parts the ledger does not know.
        conflicts: Receipts that contradict each other, one sentence each.
    """

    fates: tuple[Fate, ...]
    dropped: dict[str, int]
    duplicates: int
    unwitnessed: int
    damaged: int
    missing: tuple[Entry, ...]
    strangers: tuple[str, ...]
    conflicts: tuple[str, ...]

    @property
    def produced(self) -> int:
        """Parts of the ledger."""
        return len(self.fates)

    @property
    def judged(self) -> int:
        """Parts with exactly one verdict."""
        return sum(fate.verdict is not None for fate in self.fates)

    def faults(self, *, drops_allowed: bool = False) -> list[str]:
        """Why the run proves nothing, one sentence each; empty when every part has its one verdict.

        Args:
            drops_allowed: Whether a stated drop may stand for a verdict: only where the scenario injects them.
        """
        found = list(self.conflicts)
        if self.missing:
            found.append(f"{len(self.missing)} parts have no verdict: {_named(self.missing)}")
        if self.strangers:
            found.append(f"{len(self.strangers)} verdicts for unknown parts: {', '.join(self.strangers[:_NAMED])}")
        if self.dropped and not drops_allowed:
            reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(self.dropped.items()))
            found.append(f"{sum(self.dropped.values())} parts were dropped ({reasons}) and the scenario allows none")
        return found


def join(entries: Sequence[Entry], sightings: Iterable[Sighting]) -> Account:
    """Join a ledger with everything that was seen; the order of the sightings does not matter.

    A part is judged when one inspection of it has a verdict. A repeat must be the same bytes. A part with both a
    verdict and a drop counts as judged. A second inspection, or other bytes under one inspection id, is a conflict;
    an `unreadable` verdict is none where another one stands, for it speaks of a damaged copy.
    """
    receipts, duplicates = _distinct(sightings)
    by_part: dict[tuple[str, str], list[Sighting]] = {}
    for sighting in receipts:
        by_part.setdefault((sighting.receipt.station, sighting.receipt.part_id), []).append(sighting)
    conflicts: list[str] = []
    fates, used = [], 0
    for entry in entries:
        own = by_part.pop(entry.key, [])
        kept = _without_damaged_copies(own)
        used += len(kept)
        conflicts += _contradictions(entry, kept)
        fates.append(_fate(entry, kept))
    left = [sighting for others in by_part.values() for sighting in others if not _is_unreadable(sighting)]
    dropped = Counter(fate.drop.reason for fate in fates if fate.drop is not None and fate.verdict is None)
    return Account(
        fates=tuple(fates),
        dropped=dict(sorted(dropped.items())),
        duplicates=duplicates,
        unwitnessed=sum(seen.witness != "wire" for seen in receipts),
        damaged=len(receipts) - used - len(left),
        missing=tuple(fate.entry for fate in fates if fate.verdict is None and fate.drop is None),
        strangers=tuple(sorted({f"{seen.receipt.station} {seen.receipt.part_id or '(no part id)'}" for seen in left})),
        conflicts=tuple(sorted(conflicts)),
    )


def _distinct(sightings: Iterable[Sighting]) -> tuple[list[Sighting], int]:
    """The earliest sighting of each distinct message, those on the wire first; and how many repeats there were."""
    groups: dict[tuple[str, str], list[Sighting]] = {}
    for sighting in sightings:
        groups.setdefault((sighting.receipt.inspection_id, sighting.digest), []).append(sighting)
    firsts = [min(group, key=lambda seen: (seen.witness != "wire", seen.seen_at)) for group in groups.values()]
    repeats = sum(max(0, sum(seen.witness == "wire" for seen in group) - 1) for group in groups.values())
    return sorted(firsts, key=lambda seen: (seen.receipt.inspection_id, seen.digest)), repeats


def _named(entries: Sequence[Entry]) -> str:
    names = ", ".join(f"{entry.station} {entry.part_id}" for entry in entries[:_NAMED])
    return f"{names} ..." if len(entries) > _NAMED else names


def _is_unreadable(sighting: Sighting) -> bool:
    return isinstance(sighting.receipt, Verdict) and sighting.receipt.outcome == "unreadable"


def _without_damaged_copies(sightings: list[Sighting]) -> list[Sighting]:
    readable = [seen for seen in sightings if not _is_unreadable(seen)]
    return readable or sightings[:1]


def _contradictions(entry: Entry, sightings: list[Sighting]) -> list[str]:
    found = []
    inspections = {seen.receipt.inspection_id for seen in sightings}
    if len(inspections) > 1:
        found.append(f"{entry.station} {entry.part_id} was inspected {len(inspections)} times")
    for kind in (Verdict, DropReceipt):
        versions = Counter(seen.receipt.inspection_id for seen in sightings if isinstance(seen.receipt, kind))
        found += [
            f"inspection {inspection_id} has {count} different {kind.__name__} messages"
            for inspection_id, count in versions.items()
            if count > 1
        ]
    return found


def _fate(entry: Entry, sightings: list[Sighting]) -> Fate:
    verdict = next((seen for seen in sightings if isinstance(seen.receipt, Verdict)), None)
    drop = next((seen for seen in sightings if isinstance(seen.receipt, DropReceipt)), None)
    return Fate(
        entry=entry,
        verdict=verdict.receipt if verdict is not None and isinstance(verdict.receipt, Verdict) else None,
        drop=drop.receipt if drop is not None and isinstance(drop.receipt, DropReceipt) else None,
        seen_at=next((seen.seen_at for seen in (verdict, drop) if seen is not None), 0.0),
    )
