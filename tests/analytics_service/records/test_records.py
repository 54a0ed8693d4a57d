"""The records: the first decision about a part stands, for every worker and after every restart."""

import sqlite3
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from analytics_service.records.decisions import DeadLetter, Decisions, RecordedVerdict
from analytics_service.records.records import Records
from patchline.wire.errors import MisconfiguredError, UnavailableError
from patchline.wire.messages import DropMessage, Verdict, to_json


def rows(records: Records, query: str) -> list[tuple[object, ...]]:
    with records._engine.connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(query)]


@pytest.fixture
def records(url: str) -> Iterator[Records]:
    records = Records(url, max_letter_bytes=10)
    yield records
    records.close()


def judged(number: int, *, score: float = 1.5, at: float = 100.0) -> RecordedVerdict:
    verdict = Verdict(
        inspection_id=str(uuid.UUID(int=number)),
        station="plant/line1/cam1",
        boot_id="boot",
        sequence=number,
        part_id=f"part-{number}",
        captured_at=1.0,
        outcome="normal",
        received_sha256=f"{number:064x}",
        score=score,
        judged_at=at,
    )
    return RecordedVerdict(verdict, to_json(verdict))


def letter(number: int, *, received: bytes = b"poison", topic: str = "t", at: float = 100.0) -> DeadLetter:
    verdict = msgspec.structs.replace(judged(number, at=at).verdict, outcome="unreadable", reason="sha256: damaged")
    return DeadLetter(topic, received, "sha256", RecordedVerdict(verdict, to_json(verdict)), identified=True)


def drop(number: int) -> DropMessage:
    return DropMessage(
        inspection_id=str(uuid.UUID(int=number)),
        station="plant/line1/cam1",
        boot_id="boot",
        sequence=number,
        part_id="p",
        captured_at=1.0,
        reason="outbox_full",
    )


def test_a_stored_verdict_comes_back_byte_for_byte(records: Records) -> None:
    one = judged(1)
    standing = records.store(Decisions(judged=[one]))
    assert standing.verdicts == {one.verdict.inspection_id: one.encoded}
    assert records.verdicts_of([one.verdict.inspection_id, str(uuid.UUID(int=2))]) == standing.verdicts
    assert records.verdicts_of([]) == {}


def test_the_first_verdict_about_a_part_stands(records: Records) -> None:
    first, second = judged(1, score=1.0), judged(1, score=2.0)
    records.store(Decisions(judged=[first]))
    assert records.store(Decisions(judged=[second])).verdicts == {first.verdict.inspection_id: first.encoded}
    assert records.counts()["inspections"] == 1


def test_verdicts_survive_a_restart(records: Records, url: str) -> None:
    one = judged(1)
    records.store(Decisions(judged=[one]))
    again = Records(url)
    assert again.verdicts_of([one.verdict.inspection_id]) == {one.verdict.inspection_id: one.encoded}
    again.close()


def test_what_many_workers_decide_at_once_is_decided_once(url: str) -> None:
    """Four workers store the same hundred parts with scores of their own; all are told the same winner."""
    told: list[dict[str, bytes]] = [{} for _ in range(4)]

    def work(worker: int) -> None:
        records = Records(url)
        for start in range(0, 100, 10):
            mine = [judged(number, score=float(worker)) for number in range(start, start + 10)][:: (-1) ** worker]
            told[worker] |= records.store(Decisions(judged=mine)).verdicts
        records.close()

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(len(each) == 100 for each in told)
    assert told[0] == told[1] == told[2] == told[3]


def test_a_batch_is_recorded_whole_or_not_at_all(records: Records) -> None:
    broken = msgspec.structs.replace(judged(2).verdict, sequence=None)
    with pytest.raises(UnavailableError):
        records.store(Decisions(judged=[judged(1), RecordedVerdict(broken, b"")]))
    assert records.counts()["inspections"] == 0


def test_drops_and_dead_letters_are_recorded_with_the_verdicts(records: Records) -> None:
    decisions = Decisions(judged=[judged(1)], dropped=[(drop(2), 100.0)], dead=[letter(3)])
    standing = records.store(decisions)
    assert standing.dead_letters == {(f"{3:064x}", "t"): decisions.dead[0].judged.encoded}
    records.store(decisions)
    assert records.counts() == {"inspections": 1, "drops": 1, "dead_letters": 1}


def test_the_first_verdict_about_the_same_unreadable_bytes_stands(records: Records) -> None:
    first, second = letter(1, at=100.0), letter(1, at=200.0)
    records.store(Decisions(dead=[first]))
    assert list(records.store(Decisions(dead=[second])).dead_letters.values()) == [first.judged.encoded]


def test_an_unreadable_copy_does_not_shut_out_the_parts_verdict(records: Records) -> None:
    records.store(Decisions(dead=[letter(1)]))
    assert records.verdicts_of([str(uuid.UUID(int=1))]) == {}
    one = judged(1)
    assert records.store(Decisions(judged=[one])).verdicts == {one.verdict.inspection_id: one.encoded}


def test_of_a_long_dead_letter_only_the_beginning_is_kept(records: Records) -> None:
    records.store(Decisions(dead=[letter(1, received=b"x" * 1000)]))
    assert rows(records, "SELECT received, received_bytes FROM dead_letters") == [(b"x" * 10, 1000)]


def test_what_is_older_is_forgotten_and_the_rest_is_not(records: Records) -> None:
    old = [judged(number, at=50.0) for number in range(1200)]
    records.store(Decisions(judged=[*old, judged(2000)], dropped=[(drop(3001), 50.0), (drop(3002), 100.0)]))
    records.store(Decisions(dead=[letter(1, at=50.0), letter(2)]))
    assert records.forget(older_than=75.0) == 1202
    assert records.counts() == {"inspections": 1, "drops": 1, "dead_letters": 1}
    assert records.forget(older_than=75.0) == 0


def test_the_newest_dead_letters_are_kept(records: Records) -> None:
    records.store(Decisions(dead=[letter(number, at=float(number)) for number in range(10)]))
    assert records.bound_dead_letters(20) == 0
    assert records.bound_dead_letters(3) == 7
    assert rows(records, "SELECT at FROM dead_letters ORDER BY at") == [(7.0,), (8.0,), (9.0,)]


def test_sqlite_is_opened_so_that_recorded_means_on_disk(tmp_path: Path) -> None:
    records = Records(f"sqlite:///{tmp_path}/records.db")
    assert rows(records, "PRAGMA journal_mode") == [("wal",)]
    assert rows(records, "PRAGMA synchronous") == [(2,)]
    records.close()


def test_a_database_in_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MisconfiguredError, match=r"nowhere, does not exist \(records\.url\)"):
        Records(f"sqlite:///{tmp_path}/nowhere/records.db")


def test_a_database_that_is_none_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "records.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(UnavailableError, match="not a database"):
        Records(f"sqlite:///{tmp_path}/records.db")


@pytest.mark.parametrize("url", ["nonsense", "oracle://host/name", "mysql+nodriver://host/name"])
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(MisconfiguredError):
        Records(url)


def test_a_locked_database_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analytics_service.records.tables.BUSY_TIMEOUT_MILLISECONDS", 10)
    impatient = Records(f"sqlite:///{tmp_path}/records.db")
    holder = sqlite3.connect(tmp_path / "records.db")
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(UnavailableError, match="locked"):
        impatient.store(Decisions(judged=[judged(1)]))
    holder.rollback()
    holder.close()
    impatient.store(Decisions(judged=[judged(1)]))
    assert impatient.counts()["inspections"] == 1
    impatient.close()
