"""What is on record of a station, number by number; and the auditor that follows it."""

import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analytics_service.audit.auditor import Auditor
from analytics_service.audit.reconciliation import Gap, books_of
from analytics_service.records.outcomes import DeadLetter, PartOutcome, outcome_of_drop, outcome_of_verdict
from analytics_service.records.records import Records
from patchline.mqtt.delivery import Delivery
from patchline.runtime.watchdog import Watchdog
from patchline.wire.errors import UnavailableError
from patchline.wire.messages import DropMessage, EdgeStatus, Outcome, Verdict, to_json
from patchline.wire.topics import Station, Topics

STATION = "plant/line1/cam1"


@pytest.fixture
def records(url: str) -> Iterator[Records]:
    records = Records(url)
    yield records
    records.close()


def name_of(number: int, generation: int = 0) -> str:
    return str(uuid.UUID(int=generation * 10**6 + number))


def judged(number: int, outcome: Outcome = "normal", *, at: float = 100.0, generation: int = 0) -> PartOutcome:
    verdict = Verdict(
        inspection_id=name_of(number, generation),
        station=STATION,
        boot_id="boot",
        sequence=number,
        part_id="part",
        captured_at=1.0,
        outcome=outcome,
        received_sha256=f"{generation * 10**6 + number:064x}",
        judged_at=at,
    )
    return outcome_of_verdict(verdict, recorded_at=at)


def drop(number: int, at: float = 100.0) -> PartOutcome:
    message = DropMessage(
        inspection_id=name_of(number),
        station=STATION,
        boot_id="boot",
        sequence=number,
        part_id="part",
        captured_at=1.0,
        reason="superseded",
    )
    return outcome_of_drop(message, recorded_at=at)


def letter(number: int, *, identified: bool = True, generation: int = 0) -> DeadLetter:
    return DeadLetter(
        received_sha256=f"{generation * 10**6 + number:064x}",
        station=STATION,
        topic="topic",
        inspection_id=name_of(number, generation),
        sequence=number if identified else None,
        code="sha256",
        reason="sha256: damaged",
        received=b"bytes",
        answer=b"{}",
        recorded_at=100.0,
    )


def test_every_number_is_counted_once_by_the_best_that_is_known_of_it(records: Records) -> None:
    records.store(
        [judged(1), judged(2, "anomalous"), judged(5), drop(3), drop(5), judged(6, "unreadable")],
        [letter(2), letter(4), letter(9, identified=False)],
    )
    (books,) = books_of(records)
    assert books.judged == {"normal": 2, "anomalous": 1, "unreadable": 2}
    assert books.dropped == {"superseded": 1}
    assert (books.gaps, books.repeated, books.nameless) == ([], 0, 1)
    assert (books.first, books.last) == (1, 6)


def test_gaps_repeated_numbers_and_other_stations_are_told_apart(records: Records) -> None:
    records.store([judged(1), judged(4, at=200.0), judged(4, generation=1, at=300.0)])
    (books,) = books_of(records, STATION)
    assert books.gaps == [Gap(2, 3, 200.0)]
    assert books.gaps[0].parts == 2
    assert books.repeated == 1
    assert books_of(records, "plant/line1/other") == []


def test_a_damaged_copy_under_another_name_is_no_second_part_of_its_number(records: Records) -> None:
    records.store([judged(1), judged(2)], [letter(2, generation=1)])
    (books,) = books_of(records)
    assert (books.judged, books.repeated) == ({"normal": 2}, 0)


def test_what_retention_deleted_is_not_missed(records: Records) -> None:
    records.store([judged(1), judged(2, at=500.0), judged(3), judged(5, at=500.0)])
    assert records.forget(older_than=400.0) == 2
    (books,) = books_of(records)
    assert books.forgotten == 3
    assert books.gaps == [Gap(4, 4, 500.0)]
    assert records.forget(older_than=400.0) == 0
    assert books_of(records)[0].forgotten == 3


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 15), max_size=12), st.lists(st.integers(1, 15), max_size=3))
def test_the_gaps_are_what_is_missing_between_the_lowest_and_the_highest(
    tmp_path: Path, numbers: list[int], damaged: list[int]
) -> None:
    records = Records(f"sqlite:///{tmp_path}/{uuid.uuid4()}.db")
    records.store([judged(number) for number in numbers], [letter(number) for number in damaged])
    found = {number for books in books_of(records) for gap in books.gaps for number in range(gap.first, gap.last + 1)}
    between = set(range(min(numbers), max(numbers))) if numbers else set()
    assert found == between - set(numbers) - set(damaged)
    records.close()


class Shown:
    def __init__(self) -> None:
        self.parts: dict[str, int] = {}

    def show_unaccounted(self, station: str, parts: int) -> None:
        self.parts[station] = parts


@pytest.fixture
def shown() -> Shown:
    return Shown()


@pytest.fixture
def clock() -> list[float]:
    return [1000.0]


@pytest.fixture
def auditor(records: Records, shown: Shown, clock: list[float]) -> Auditor:
    return Auditor(records, topics=Topics(), shown=shown, grace_seconds=60.0, wall=lambda: clock[0])


def status(*, online: bool, rows: int, version: str = "1") -> Delivery:
    told = EdgeStatus(station=STATION, online=online, version=version, outbox_rows=rows)
    return Delivery(
        topic=Topics().of(Station.parse(STATION), "status"), payload=to_json(told), on_acknowledge=lambda: None
    )


def test_a_gap_counts_once_it_is_older_than_the_grace_and_no_longer_when_it_closes(
    records: Records, auditor: Auditor, shown: Shown, clock: list[float]
) -> None:
    records.store([judged(1, at=990.0), judged(4, at=990.0)])
    assert auditor.look() == {STATION: 0}
    clock[0] = 1100.0
    assert auditor.look() == {STATION: 2}
    assert shown.parts == {STATION: 2}
    records.store([judged(2, at=1090.0), drop(3, 1091.0)])
    assert auditor.look() == {STATION: 0}


def test_a_record_stamped_long_before_it_was_written_is_found_all_the_same(
    records: Records, auditor: Auditor, clock: list[float]
) -> None:
    records.store([judged(1, at=2000.0), judged(3, at=2000.0)])
    clock[0] = 9000.0
    assert auditor.look() == {STATION: 1}
    records.store([judged(2, at=5.0)])
    assert auditor.look() == {STATION: 0}


def test_a_clock_that_ran_ahead_hides_no_gap(records: Records, auditor: Auditor, clock: list[float]) -> None:
    """For an hour a worker stamped its decisions a year ahead; then its clock was set right."""
    year = 365 * 86400.0
    records.store([judged(1, at=990.0), judged(2, at=1000.0 + year), judged(4, at=1000.0 + year)])
    assert auditor.look() == {STATION: 0}
    records.store([judged(5, at=1010.0), judged(8, at=1020.0)])
    clock[0] = 1100.0
    assert auditor.look() == {STATION: 3}


def test_what_the_edge_still_holds_is_not_missed_and_a_last_will_does_not_forget_it(
    records: Records, auditor: Auditor, clock: list[float]
) -> None:
    records.store([judged(1, at=990.0), judged(4, at=990.0)])
    clock[0] = 1100.0
    auditor.on_status(status(online=True, rows=5))
    assert auditor.look() == {STATION: 0}
    auditor.on_status(status(online=False, rows=0, version=""))
    assert auditor.look() == {STATION: 0}
    auditor.on_status(status(online=False, rows=1))
    assert auditor.look() == {STATION: 1}
    auditor.on_status(Delivery(topic="elsewhere", payload=b"?", on_acknowledge=lambda: None))
    assert auditor.look() == {STATION: 1}


def test_a_restarted_auditor_sees_the_same(records: Records, auditor: Auditor, shown: Shown) -> None:
    records.store([judged(number, at=10.0) for number in (1, 2, 5, 6, 9)], [letter(7)])
    assert auditor.look() == {STATION: 3}
    again = Auditor(records, topics=Topics(), shown=shown, grace_seconds=60.0, wall=lambda: 1000.0)
    assert again.look() == {STATION: 3}


def test_another_stations_numbers_close_no_gap(records: Records, auditor: Auditor, clock: list[float]) -> None:
    def elsewhere(number: int) -> PartOutcome:
        return replace(judged(number, generation=1), station="plant/line1/cam2")

    own = [judged(number, at=990.0) for number in (1, 4)]
    records.store([*own, *(elsewhere(number) for number in range(1, 6))])
    clock[0] = 1100.0
    assert auditor.look() == {STATION: 2, "plant/line1/cam2": 0}


def test_the_auditor_looks_until_it_is_stopped_whatever_the_database_does(
    auditor: Auditor, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, stopped = list[int](), threading.Event()

    def look() -> dict[str, int]:
        looks.append(1)
        if len(looks) == 1:
            raise UnavailableError("the database is away")
        if len(looks) == 3:
            stopped.set()
        return {}

    monkeypatch.setattr(auditor, "look", look)
    auditor.run(stopped, Watchdog(), interval_seconds=0.001)
    assert len(looks) == 3


def test_invented_stations_are_not_shown(records: Records, shown: Shown, clock: list[float]) -> None:
    records.store([judged(1, at=1.0), judged(4, at=1.0), replace(judged(1, generation=1), station="plant/line1/x1")])
    auditor = Auditor(
        records, topics=Topics(), shown=shown, grace_seconds=1.0, stations=lambda: {STATION}, wall=lambda: clock[0]
    )
    auditor.on_status(
        Delivery(topic="vad/v1/plant/line1/x2/status", payload=to_json(EdgeStatus(station="x", online=True)))
    )
    assert auditor.look() == {STATION: 2}
    assert shown.parts == {STATION: 2}
