"""The results of a run: reconciliation, accuracy and timing, written to `report.json` and `report.html`."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_node.outbox.journal import JournalLine
from patchline.replay import part_pictures
from patchline.replay.accuracy import measure, peaks
from patchline.replay.line import Seen
from patchline.replay.reconciliation import Account, Fate, Sighting, join
from patchline.replay.report.page import render_page
from patchline.replay.scenario import Scenario
from patchline.replay.summary import Summary, summarise, write_summary
from patchline.wire.messages import DropReceipt

PAGE_FILE = "report.html"
FIGURES_FILE = "report.json"

_SHARED_FIELDS = ("inspection_id", "boot_id", "sequence", "part_id", "captured_at")


def reconcile(scenario: Scenario, seen: Seen) -> tuple[Account, list[str]]:
    """Join the ledger with everything that was seen.

    Returns:
        The account, and its faults, one sentence each; there is no fault when every part has exactly one verdict.
    """
    known = {sighting.receipt.inspection_id for sighting in seen.sightings}
    drops = [drop for station, journal in seen.journals.items() for drop in unseen_drops(station, journal, known)]
    account = join(scenario.entries, [*seen.sightings, *drops])
    faults = [*seen.troubles, *account.faults(drops_allowed=scenario.drops_allowed), *disagreements(account, seen)]
    return account, faults


def write_results(scenario: Scenario, seen: Seen, stamp: Mapping[str, Any]) -> Summary:
    """Join, measure, and write the report into the scenario's folder.

    Args:
        scenario: What was planned.
        seen: What was seen.
        stamp: `machine`, `versions`, `commit` and `seed`.

    Raises:
        MisconfiguredError: The `bench` extra, which draws the charts, is not installed.
        UnreadableError: A mask or a map cannot be read.
    """
    account, faults = reconcile(scenario, seen)

    def map_of(fate: Fate) -> NDArray[np.float32] | None:
        return None if fate.verdict is None else part_pictures.published_map(seen.map_file(fate.verdict.inspection_id))

    by_station = {
        # Stations are compared by their scores alone.
        plan.station: measure([fate for fate in account.fates if fate.entry.station == plan.station], lambda _: None)
        for plan in scenario.stations
    }
    summary = summarise(
        account,
        seen.journals,
        accuracy=measure(account.fates, map_of),
        by_station=by_station,
        peaks=peaks(account.fates),
        stamp=stamp,
        configuration={**scenario.configuration, **seen.constraints},
        faults=faults,
        duration_seconds=seen.duration_seconds,
    )
    (scenario.directory / FIGURES_FILE).write_bytes(write_summary(summary))
    page = render_page(summary, account.fates, seen.journals, map_of, title=scenario.title, note=scenario.note)
    (scenario.directory / PAGE_FILE).write_text(page, encoding="utf-8")
    return summary


def disagreements(account: Account, seen: Seen) -> Sequence[str]:
    """Where the journal of a station has another outcome than the watcher saw, one sentence each."""
    outcomes = {fate.verdict.inspection_id: fate.verdict.outcome for fate in account.fates if fate.verdict is not None}
    return [
        f"{station} wrote down {line.outcome} for {line.part_id}, the wire said {outcomes[line.inspection_id]}"
        for station, lines in seen.journals.items()
        for line in lines
        if line.outcome != outcomes.get(line.inspection_id, line.outcome) and line.outcome != "dropped"
    ]


def unseen_drops(station: str, journal: Sequence[JournalLine], known: Collection[str]) -> list[Sighting]:
    """Drops whose receipt only the station saw: it closes a drop on its receipt only, so its journal proves it.

    Args:
        station: Whose journal it is.
        journal: Its lines.
        known: The inspections that have been seen otherwise.
    """
    found = []
    for line in journal:
        if line.outcome == "dropped" and line.inspection_id not in known:
            fields: dict[str, Any] = {name: getattr(line, name) for name in _SHARED_FIELDS}
            fields["station"] = station
            receipt = msgspec.convert({"kind": "drop_receipt", "reason": line.reason, **fields}, DropReceipt)
            found.append(Sighting(receipt=receipt, digest=line.inspection_id, witness="records"))
    return found
