"""Watcher, records and the stations' own journals have to tell one story."""

from pathlib import Path

import pytest

from edge_node.journal import JournalLine
from line_replay.books import balance
from line_replay.line import Seen
from line_replay.scenario import Scenario, StationPlan

STATION = "plant/line/one"


@pytest.fixture
def scenario(entries, tmp_path):
    plan = StationPlan(station=STATION, entries=tuple(entries))
    return Scenario(title="t", directory=tmp_path, stations=(plan,), artifacts=tmp_path, takt_seconds=1.0)


def lines_of(verdicts):
    return [
        JournalLine(
            sequence=verdict.sequence,
            inspection_id=verdict.inspection_id,
            part_id=verdict.part_id,
            boot_id="boot",
            captured_at=1.0,
            outcome=verdict.outcome,
        )
        for verdict in verdicts
    ]


def seen(sightings, lines, troubles=()):
    return Seen(
        sightings=sightings,
        journals={STATION: lines},
        map_file=Path,
        troubles=troubles,
        duration_seconds=1.0,
        broker="mosquitto",
    )


def test_when_all_agree_the_books_balance(scenario, entries, verdict_on, sighting_of):
    verdicts = [verdict_on(entry) for entry in entries]
    account, faults = balance(scenario, seen([sighting_of(each) for each in verdicts], lines_of(verdicts)))
    assert faults == []
    assert account.judged == len(entries)


def test_a_station_that_wrote_down_another_outcome_is_a_fault(scenario, entries, verdict_on, sighting_of):
    verdicts = [verdict_on(entry) for entry in entries]
    lines = lines_of([verdict_on(entries[0], score=9.0), *verdicts[1:]])
    _, faults = balance(scenario, seen([sighting_of(each) for each in verdicts], lines))
    assert faults == [f"{STATION} wrote down anomalous for part-0, the wire said normal"]


def test_a_drop_whose_receipt_nobody_saw_is_known_from_the_journal(scenario, entries, verdict_on, drop_of, sighting_of):
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
    account, faults = balance(scenario, seen([sighting_of(each) for each in verdicts], [line, *lines_of(verdicts)]))
    assert account.dropped == {"encode_failed": 1}
    assert account.missing == ()
    assert "encode_failed" in faults[0]


def test_what_went_wrong_with_the_run_itself_is_a_fault(scenario, entries, verdict_on, sighting_of):
    verdicts = [verdict_on(entry) for entry in entries]
    _, faults = balance(
        scenario, seen([sighting_of(each) for each in verdicts], lines_of(verdicts), ["the line did not end"])
    )
    assert faults == ["the line did not end"]
