"""Watcher, records and the stations' own journals have to tell one story."""

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from PIL import Image

from edge_node.outbox.journal import JournalLine
from patchline.replay.line import Seen
from patchline.replay.results import FIGURES_FILE, PAGE_FILE, reconcile, write_results
from patchline.replay.scenario import Scenario, StationPlan
from patchline.wire.messages import MapMessage, pack

STATION = "plant/line/one"


@pytest.fixture
def scenario(entries: Any, tmp_path: Path) -> Any:
    plan = StationPlan(station=STATION, entries=tuple(entries))
    return Scenario(title="t", directory=tmp_path, stations=(plan,), artifacts=tmp_path, takt_seconds=1.0)


def lines_of(receipts: Any, outcome: Any = None) -> Any:
    return [
        JournalLine(
            sequence=receipt.sequence,
            inspection_id=receipt.inspection_id,
            part_id=receipt.part_id,
            boot_id="boot",
            captured_at=1.0,
            outcome=outcome or receipt.outcome,
        )
        for receipt in receipts
    ]


def seen(sightings: Any, lines: Any, troubles: Any = ()) -> Any:
    return Seen(
        sightings=sightings,
        journals={STATION: lines},
        map_file=Path,
        troubles=troubles,
        duration_seconds=1.0,
        broker="mosquitto",
    )


def test_when_all_agree_the_books_balance(scenario: Any, entries: Any, verdict_on: Any, sighting_of: Any) -> None:
    verdicts = [verdict_on(entry) for entry in entries]
    account, faults = reconcile(scenario, seen([sighting_of(each) for each in verdicts], lines_of(verdicts)))
    assert faults == []
    assert account.judged == len(entries)


def test_a_station_that_wrote_down_another_outcome_is_a_fault(
    scenario: Any, entries: Any, verdict_on: Any, sighting_of: Any
) -> None:
    verdicts = [verdict_on(entry) for entry in entries]
    lines = lines_of([verdict_on(entries[0], score=9.0), *verdicts[1:]])
    _, faults = reconcile(scenario, seen([sighting_of(each) for each in verdicts], lines))
    assert faults == [f"{STATION} wrote down anomalous for part-0, the wire said normal"]


def test_a_drop_whose_receipt_nobody_saw_is_known_from_the_journal(
    scenario: Any, entries: Any, verdict_on: Any, drop_of: Any, sighting_of: Any
) -> None:
    verdicts = [verdict_on(entry) for entry in entries[1:]]
    dropped = drop_of(entries[0], "encode_failed")
    line = JournalLine(
        sequence=0,
        inspection_id=dropped.inspection_id,
        part_id="part-0",
        boot_id="boot",
        captured_at=1.0,
        outcome="dropped",
        reason="encode_failed",
    )
    account, faults = reconcile(scenario, seen([sighting_of(each) for each in verdicts], [line, *lines_of(verdicts)]))
    assert account.dropped == {"encode_failed": 1}
    assert account.missing == ()
    assert "encode_failed" in faults[0]


def test_what_went_wrong_with_the_run_itself_is_a_fault(
    scenario: Any, entries: Any, verdict_on: Any, sighting_of: Any
) -> None:
    verdicts = [verdict_on(entry) for entry in entries]
    _, faults = reconcile(
        scenario, seen([sighting_of(each) for each in verdicts], lines_of(verdicts), ["the line did not end"])
    )
    assert faults == ["the line did not end"]


def test_a_drop_whose_receipt_was_seen_is_not_told_twice(
    scenario: Any, entries: Any, drop_of: Any, sighting_of: Any
) -> None:
    drops = [drop_of(entry) for entry in entries]
    lines = [msgspec.structs.replace(line, reason="capture_failed") for line in lines_of(drops, "dropped")]
    account, faults = reconcile(scenario, seen([sighting_of(each) for each in drops], lines))
    assert account.dropped == {"capture_failed": len(entries)}
    assert [fault for fault in faults if "scenario allows none" not in fault] == []
    assert account.unwitnessed == 0


@pytest.fixture
def pictured(entries: Any, tmp_path: Path) -> Any:
    """The parts with their pictures, and masks of the defective ones."""
    Image.fromarray(np.full((16, 16, 3), 90, np.uint8)).save(tmp_path / "part.png")
    Image.fromarray(np.pad(np.full((4, 4), 255, np.uint8), 6)).save(tmp_path / "mask.png")
    mask = str(tmp_path / "mask.png")
    return [
        msgspec.structs.replace(entry, picture=str(tmp_path / "part.png"), mask=mask if entry.defective else None)
        for entry in entries
    ]


def test_the_report_tells_each_stations_accuracy_and_is_what_stands_on_the_disk(
    pictured: Any, verdict_on: Any, sighting_of: Any, tmp_path: Path
) -> None:
    """One station that is always right, one that is always wrong; the maps of both point at the defects."""
    pytest.importorskip("matplotlib", reason="the extra bench is not installed")
    other = "plant/line/two"
    elsewhere = [msgspec.structs.replace(entry, station=other) for entry in pictured]
    verdicts = [verdict_on(entry, score=3.0 if entry.defective else 1.0) for entry in pictured]
    wrong = [
        verdict_on(entry, score=1.0 if entry.defective else 3.0, inspection=100 + number)
        for number, entry in enumerate(elsewhere)
    ]
    (tmp_path / "maps").mkdir()
    Image.fromarray(np.pad(np.full((4, 4), 255, np.uint8), 6)).save(tmp_path / "hot.webp", lossless=True)
    for entry, verdict in zip([*pictured, *elsewhere], [*verdicts, *wrong], strict=True):
        drawn = MapMessage(
            inspection_id=verdict.inspection_id,
            station=entry.station,
            part_id=entry.part_id,
            picture=(tmp_path / "hot.webp").read_bytes(),
            low=0.0,
            high=4.0 if entry.defective else 0.0,
        )
        (tmp_path / "maps" / verdict.inspection_id).write_bytes(pack(drawn))
    scenario = Scenario(
        title="two stations",
        directory=tmp_path,
        stations=(
            StationPlan(station=STATION, entries=tuple(pictured)),
            StationPlan(station=other, entries=tuple(elsewhere)),
        ),
        artifacts=tmp_path,
        takt_seconds=1.0,
    )
    found = Seen(
        sightings=[sighting_of(each) for each in (*verdicts, *wrong)],
        journals={STATION: lines_of(verdicts), other: lines_of(wrong)},
        map_file=(tmp_path / "maps").joinpath,
        troubles=(),
        duration_seconds=1.0,
        broker="mosquitto",
    )
    stamp = {"machine": {"cores": 2}, "versions": {"python": "3"}, "commit": None, "seed": 7}
    summary = write_results(scenario, found, stamp)
    assert summary.faults == []
    assert {name: station.image_auroc for name, station in summary.stations.items()} == {STATION: 1.0, other: 0.0}
    assert (summary.pixel_f1, summary.maps, summary.maps_missing) == (1.0, 2 * len(pictured), 0)
    assert json.loads((tmp_path / FIGURES_FILE).read_bytes()) == json.loads(msgspec.json.encode(summary))
    assert "12 parts produced, 12 judged, 0 lost." in (tmp_path / PAGE_FILE).read_text()
