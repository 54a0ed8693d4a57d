"""The records: the first decision about a part stands, for every worker and after every restart."""

import sqlite3
import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from analytics_service.records import records as records_module
from analytics_service.records.outcomes import DeadLetter, PartOutcome, Recalled, outcome_of_drop, outcome_of_verdict
from analytics_service.records.records import Records
from patchline.wire.errors import MisconfiguredError, UnavailableError, UnreadableError
from patchline.wire.messages import DropMessage, Verdict

STATION = "plant/line1/cam1"


def id_of(number: int) -> str:
    return str(uuid.UUID(int=number))


def rows(records: Records, query: str) -> list[tuple[object, ...]]:
    with records._engine.connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(query)]


@pytest.fixture
def records(url: str) -> Iterator[Records]:
    records = Records(url, max_letter_bytes=10)
    yield records
    records.close()


def judged(number: int, *, score: float = 1.5, at: float = 100.0) -> PartOutcome:
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
    return outcome_of_verdict(verdict, recorded_at=at)


def letter(number: int, *, received: bytes = b"poison", answer: bytes = b"{}", at: float = 100.0) -> DeadLetter:
    return DeadLetter(
        received_sha256=f"{number:064x}",
        station=STATION,
        topic="t",
        inspection_id=id_of(number),
        sequence=number,
        code="sha256",
        reason="sha256: damaged",
        received=received,
        answer=answer,
        recorded_at=at,
    )


def drop(number: int, *, at: float = 100.0) -> PartOutcome:
    message = DropMessage(
        inspection_id=id_of(number),
        station=STATION,
        boot_id="boot",
        sequence=number,
        part_id="p",
        captured_at=1.0,
        reason="outbox_full",
    )
    return outcome_of_drop(message, recorded_at=at)


def counts(*, verdicts: int = 0, drops: int = 0, unreadable: int = 0, dead_letters: int = 0) -> dict[str, int]:
    return {"verdicts": verdicts, "drops": drops, "unreadable": unreadable, "dead_letters": dead_letters}


def recall(records: Records, *numbers: int) -> Recalled:
    return records.recall(inspection_ids=[id_of(number) for number in numbers], digests=[], stations=[STATION])


def test_a_stored_verdict_comes_back_byte_for_byte(records: Records) -> None:
    one = judged(1)
    stored = records.store([one])
    assert {name: outcome.body for name, outcome in stored.outcomes.items()} == {id_of(1): one.body}
    assert records.verdicts_of([id_of(1), id_of(2)]) == {id_of(1): one.body}
    assert recall(records, 1, 2).outcomes == stored.outcomes
    assert records.verdicts_of([]) == {}


def test_the_first_verdict_about_a_part_stands(records: Records) -> None:
    first, second = judged(1, score=1.0), judged(1, score=2.0)
    assert records.store([first]).fresh == {id_of(1)}
    again = records.store([second])
    assert (again.outcomes[id_of(1)].body, again.fresh) == (first.body, frozenset())
    assert records.counts() == counts(verdicts=1)


def test_verdicts_survive_a_restart(records: Records, url: str) -> None:
    records.store([judged(1)])
    again = Records(url)
    assert again.verdicts_of([id_of(1)]) == {id_of(1): judged(1).body}
    again.close()


def test_what_many_workers_decide_at_once_is_decided_once(url: str) -> None:
    """Four workers store the same hundred parts with scores of their own; all are told the same winner."""
    told: list[dict[str, bytes]] = [{} for _ in range(4)]

    def work(worker: int) -> None:
        records = Records(url)
        for start in range(0, 100, 10):
            mine = [judged(number, score=float(worker)) for number in range(start, start + 10)][:: (-1) ** worker]
            told[worker] |= {name: outcome.body for name, outcome in records.store(mine).outcomes.items()}
        records.close()

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(len(each) == 100 for each in told)
    assert told[0] == told[1] == told[2] == told[3]


def test_a_batch_is_recorded_whole_or_not_at_all(records: Records) -> None:
    broken = replace(judged(2), sequence=None)  # type: ignore[arg-type]
    with pytest.raises(UnreadableError) as caught:
        records.store([judged(1), broken], [letter(3)])
    assert caught.value.code == "database"
    assert records.counts() == counts()


def test_drops_and_dead_letters_are_recorded_with_the_verdicts(records: Records) -> None:
    stored = records.store([judged(1), drop(2)], [letter(3)])
    assert stored.letters == {letter(3).key: b"{}"}
    assert stored.fresh_letters == {letter(3).key}
    assert records.store([judged(1), drop(2)], [letter(3)]).fresh_letters == frozenset()
    assert records.counts() == counts(verdicts=1, drops=1, dead_letters=1)


def test_the_first_answer_to_the_same_unreadable_bytes_stands(records: Records) -> None:
    records.store([], [letter(1, answer=b"first")])
    assert records.store([], [letter(1, answer=b"second")]).letters == {letter(1).key: b"first"}


def test_an_unreadable_copy_does_not_shut_out_the_parts_verdict(records: Records) -> None:
    records.store([], [letter(1)])
    assert recall(records, 1).outcomes == {}
    assert records.store([judged(1)]).fresh == {id_of(1)}


def test_bytes_that_end_a_part_are_kept_only_if_they_were_its_end(records: Records) -> None:
    records.store([judged(1)])
    ends = [replace(letter(number), ends_part=True) for number in (1, 2)]
    unreadable = [replace(judged(number), kind="unreadable") for number in (1, 2)]
    assert records.store(unreadable, ends).fresh_letters == {letter(2).key}
    assert records.counts() == counts(verdicts=1, unreadable=1, dead_letters=1)


def test_of_a_long_dead_letter_only_the_beginning_is_kept(records: Records) -> None:
    records.store([], [letter(1, received=b"x" * 1000)])
    ((received, length),) = rows(records, "SELECT received, received_bytes FROM dead_letters")
    assert (bytes(received), length) == (b"x" * 10, 1000)  # type: ignore[call-overload]


@pytest.mark.parametrize("text", ["A\x00B", "lone \ud800", "\x1b[2J" * 200])
def test_text_that_a_database_does_not_take_is_recorded_escaped(records: Records, text: str) -> None:
    odd = replace(drop(1), part_id=text, detail=text)
    assert records.store([odd, judged(2)]).fresh == {id_of(1), id_of(2)}
    assert records.counts() == counts(verdicts=1, drops=1)


def test_what_is_older_is_forgotten_and_the_rest_is_not(records: Records) -> None:
    old = [judged(number, at=50.0) for number in range(1200)]
    records.store([*old, judged(2000), drop(3001, at=50.0), drop(3002)])
    records.store([], [letter(1, at=50.0), letter(2)])
    assert records.forget(older_than=75.0) == 1202
    assert records.counts() == counts(verdicts=1, drops=1, dead_letters=1)
    assert records.forget(older_than=75.0) == 0


def test_a_mark_says_up_to_where_a_station_was_forgotten(records: Records) -> None:
    records.store([judged(1, at=50.0), judged(2), judged(7, at=50.0), replace(judged(9, at=50.0), station="s/l/other")])
    assert recall(records, 1).marks == {}
    records.forget(older_than=75.0)
    mark = recall(records, 1).marks[STATION]
    assert (mark.sequence, mark.captured_at) == (7, 1.0)
    assert [mark.closes(number, 1.0) for number in (1, 7, 8)] == [True, True, False]
    assert not mark.closes(1, 2.0)
    records.store([judged(3, at=50.0)])
    records.forget(older_than=75.0)
    assert recall(records, 1).marks[STATION].sequence == 7


def test_an_outcome_that_retention_takes_while_it_is_stored_is_told_as_forgotten(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    records.store([judged(1)])
    monkeypatch.setattr(records_module, "_outcomes_of", lambda *_: {})
    assert records.store([judged(1)]).outcomes[id_of(1)].kind == "forgotten"


def test_the_newest_dead_letters_are_kept(records: Records) -> None:
    records.store([], [letter(number, at=float(number)) for number in range(10)])
    assert records.bound_dead_letters(20) == 0
    assert records.bound_dead_letters(3) == 7
    assert rows(records, "SELECT recorded_at FROM dead_letters ORDER BY recorded_at") == [(7.0,), (8.0,), (9.0,)]


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
    monkeypatch.setattr("analytics_service.records.engine.BUSY_TIMEOUT_MILLISECONDS", 10)
    impatient = Records(f"sqlite:///{tmp_path}/records.db")
    holder = sqlite3.connect(tmp_path / "records.db")
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(UnavailableError, match="locked"):
        impatient.store([judged(1)])
    holder.rollback()
    holder.close()
    impatient.store([judged(1)])
    assert impatient.counts() == counts(verdicts=1)
    impatient.close()
