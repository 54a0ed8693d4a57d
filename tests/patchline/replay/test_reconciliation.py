"""The books of a run balance exactly when every part has its one verdict, in whatever order and number they came."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from patchline.replay.reconciliation import join

shared_fixtures = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@shared_fixtures
@given(data=st.data())
def test_any_order_and_any_repetition_of_the_same_verdicts_gives_the_same_books(
    data: Any, entries: Any, verdict_on: Any, sighting_of: Any
) -> None:
    sightings = [sighting_of(verdict_on(entry)) for entry in entries]
    times = data.draw(st.lists(st.integers(1, 4), min_size=len(entries), max_size=len(entries)))
    seen = data.draw(st.permutations([s for s, count in zip(sightings, times, strict=True) for _ in range(count)]))
    account = join(entries, seen)
    assert account.faults() == []
    assert account.judged == account.produced == len(entries)
    assert account.duplicates == sum(times) - len(entries)
    assert [fate.entry for fate in account.fates] == entries
    assert account.fates == join(entries, sightings).fates


@shared_fixtures
@given(lost=st.sets(st.integers(0, 5), min_size=1))
def test_every_part_without_a_verdict_is_missing(lost: Any, entries: Any, verdict_on: Any, sighting_of: Any) -> None:
    account = join(entries, [sighting_of(verdict_on(e)) for n, e in enumerate(entries) if n not in lost])
    assert {entries.index(entry) for entry in account.missing} == lost
    assert account.judged == len(entries) - len(lost)
    assert "no verdict" in account.faults()[0]


def test_an_empty_line_of_sightings_judges_nothing(entries: Any) -> None:
    account = join(entries, [])
    assert account.judged == 0
    assert len(account.missing) == account.produced == len(entries)
    assert not any(fate.rejected for fate in account.fates)


def test_three_missing_parts_are_named_and_of_more_only_three(entries: Any) -> None:
    names = ", ".join(f"{entry.station} {entry.part_id}" for entry in entries[:3])
    assert join(entries[:3], []).faults() == [f"3 parts have no verdict: {names}"]
    assert join(entries, []).faults() == [f"6 parts have no verdict: {names} ..."]


def test_other_bytes_under_one_inspection_id_are_a_conflict(entries: Any, verdict_on: Any, sighting_of: Any) -> None:
    seen = [sighting_of(verdict_on(entry)) for entry in entries]
    seen.append(sighting_of(verdict_on(entries[0], score=1.5)))
    account = join(entries, seen)
    assert account.duplicates == 0
    assert "2 different Verdict messages" in account.faults()[0]


def test_a_second_inspection_of_a_part_is_a_conflict(entries: Any, verdict_on: Any, sighting_of: Any) -> None:
    seen = [sighting_of(verdict_on(entry)) for entry in entries]
    seen.append(sighting_of(verdict_on(entries[0], inspection=77)))
    assert "was inspected 2 times" in join(entries, seen).faults()[0]


def test_a_verdict_on_a_part_nobody_produced_is_a_stranger(entries: Any, verdict_on: Any, sighting_of: Any) -> None:
    account = join(entries[1:], [sighting_of(verdict_on(entry)) for entry in entries])
    assert account.strangers == (f"{entries[0].station} {entries[0].part_id}",)
    assert account.damaged == 0
    assert "unknown parts" in account.faults()[0]


def test_a_damaged_copy_does_not_count_beside_the_real_verdict(entries: Any, verdict_on: Any, sighting_of: Any) -> None:
    seen = [sighting_of(verdict_on(entry)) for entry in entries]
    seen.append(sighting_of(verdict_on(entries[2], outcome="unreadable")))
    account = join(entries, seen)
    assert account.faults() == []
    assert account.damaged == 1
    verdict = account.fates[2].verdict
    assert verdict is not None
    assert verdict.outcome == "normal"


def test_an_unreadable_message_without_an_identity_is_no_stranger(
    entries: Any, verdict_on: Any, sighting_of: Any
) -> None:
    nobody = type(entries[0])(station=entries[0].station, part_id="", label="good", picture="")
    seen = [sighting_of(verdict_on(entry)) for entry in entries]
    seen.append(sighting_of(verdict_on(nobody, inspection=99, outcome="unreadable")))
    account = join(entries, seen)
    assert account.faults() == []
    assert account.damaged == 1


def test_several_damaged_copies_of_a_part_are_one_verdict(entries: Any, verdict_on: Any, sighting_of: Any) -> None:
    seen = [sighting_of(verdict_on(entries[0], inspection=number, outcome="unreadable")) for number in (0, 50)]
    account = join(entries[:1], seen)
    assert account.faults() == []
    assert (account.judged, account.damaged) == (1, 1)


def test_an_unreadable_part_has_its_one_verdict(entries: Any, verdict_on: Any, sighting_of: Any) -> None:
    account = join(entries[:1], [sighting_of(verdict_on(entries[0], outcome="unreadable"))])
    assert account.faults() == []
    assert account.judged == 1
    assert account.fates[0].rejected


def test_a_stated_drop_is_a_fault_unless_the_scenario_allows_it(
    entries: Any, verdict_on: Any, drop_of: Any, sighting_of: Any
) -> None:
    seen = [sighting_of(verdict_on(entry)) for entry in entries[1:]]
    seen.append(sighting_of(drop_of(entries[0], "outbox_full")))
    account = join(entries, seen)
    assert account.dropped == {"outbox_full": 1}
    assert account.missing == ()
    assert "outbox_full" in account.faults()[0]
    assert account.faults(drops_allowed=True) == []


def test_judged_and_dropped_counts_as_judged(entries: Any, verdict_on: Any, drop_of: Any, sighting_of: Any) -> None:
    seen = [sighting_of(verdict_on(entry)) for entry in entries]
    seen.append(sighting_of(drop_of(entries[3])))
    account = join(entries, seen)
    assert account.dropped == {}
    assert account.judged == len(entries)
    assert account.faults() == []


def test_what_the_watcher_missed_counts_from_the_records_and_is_told(
    entries: Any, verdict_on: Any, sighting_of: Any
) -> None:
    verdicts = [verdict_on(entry) for entry in entries]
    wire = [sighting_of(verdict) for verdict in verdicts[1:]]
    records = [sighting_of(verdict, witness="records") for verdict in verdicts]
    account = join(entries, [*records, *wire])
    assert account.faults() == []
    assert account.unwitnessed == 1
    assert account.duplicates == 0


def test_records_that_contradict_the_wire_are_a_conflict(entries: Any, verdict_on: Any, sighting_of: Any) -> None:
    wire = [sighting_of(verdict_on(entry)) for entry in entries]
    account = join(entries, [*wire, sighting_of(verdict_on(entries[0], score=1.9), witness="records")])
    assert "different Verdict messages" in account.faults()[0]
