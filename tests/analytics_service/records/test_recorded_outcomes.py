"""A part ends once: a verdict and a drop of it contend for one row, whoever decides, and however old the database."""

import multiprocessing
import threading
import uuid
from collections.abc import Iterator
from multiprocessing.synchronize import Barrier
from typing import Any

import pytest
import sqlalchemy as sql

from analytics_service.audit.reconciliation import books_of
from analytics_service.records import migration
from analytics_service.records import recorded_outcomes as admission
from analytics_service.records import records as records_module
from analytics_service.records.decisions import Decisions, RecordedOutcomes, RecordedVerdict, drop_row, judged_row
from analytics_service.records.records import Records
from analytics_service.records.tables import DROPS, ENDS, INSPECTIONS, METADATA, engine_of, open_engine
from patchline.wire.errors import MisconfiguredError, UnavailableError
from patchline.wire.messages import DropMessage, Verdict, to_json

STATION = "plant/line1/cam1"
ROUNDS, PARTS = 20, 6
PATIENCE_SECONDS = 60.0


def id_of(number: int) -> str:
    return str(uuid.UUID(int=number))


def judged(number: int, *, score: float = 1.5, at: float = 100.0) -> RecordedVerdict:
    verdict = Verdict(
        inspection_id=id_of(number),
        station=STATION,
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


def drop(number: int) -> DropMessage:
    return DropMessage(
        inspection_id=id_of(number),
        station=STATION,
        boot_id="boot",
        sequence=number,
        part_id=f"part-{number}",
        captured_at=1.0,
        reason="superseded",
    )


def dropped(*numbers: int, at: float = 100.0) -> Decisions:
    return Decisions(dropped=[(drop(number), at) for number in numbers])


@pytest.fixture
def records(url: str) -> Iterator[Records]:
    records = Records(url)
    yield records
    records.close()


def recorded(url: str, table: sql.Table) -> set[str]:
    engine = open_engine(url)
    with engine.connect() as connection:
        found = set(connection.execute(sql.select(table.c.inspection_id)).scalars())
    engine.dispose()
    return found


def test_a_drop_of_a_judged_part_leaves_the_verdict_standing(records: Records) -> None:
    records.store(Decisions(judged=[judged(1)]))
    standing = records.store(dropped(1, 2))
    assert standing == RecordedOutcomes(
        {id_of(1): judged(1).encoded}, {id_of(2): "superseded"}, fresh=frozenset({id_of(2)})
    )
    assert records.counts() == {"inspections": 1, "drops": 1, "dead_letters": 0}


def test_a_verdict_on_a_dropped_part_leaves_the_drop_standing(records: Records) -> None:
    records.store(dropped(1))
    standing = records.store(Decisions(judged=[judged(1), judged(2)]))
    assert standing == RecordedOutcomes(
        {id_of(2): judged(2).encoded}, {id_of(1): "superseded"}, fresh=frozenset({id_of(2)})
    )
    assert records.counts() == {"inspections": 1, "drops": 1, "dead_letters": 0}


def test_the_reason_that_was_recorded_first_stands(records: Records) -> None:
    records.store(dropped(1))
    later = Decisions(dropped=[(DropMessage(**{**fields(drop(1)), "reason": "too_large"}), 200.0)])
    assert records.store(later).dropped == {id_of(1): "superseded"}


def fields(message: DropMessage) -> dict[str, Any]:
    return {name: getattr(message, name) for name in message.__struct_fields__}


def contend(url: str, kind: str, barrier: Barrier, told: Any) -> None:
    """One worker of a race: it decides the same parts as the other, at the same moment, as one of the two kinds."""
    records = Records(url)
    ends: dict[str, object] = {}
    for start in range(0, ROUNDS * PARTS, PARTS):
        numbers = range(start, start + PARTS)
        mine = dropped(*numbers) if kind == "drops" else Decisions(judged=[judged(number) for number in numbers])
        barrier.wait(PATIENCE_SECONDS)
        standing = records.store(mine)
        ends |= standing.verdicts
        ends |= standing.dropped
    records.close()
    told.put(ends)


def test_two_processes_that_decide_a_part_at_once_record_one_end_and_are_told_the_same(url: str) -> None:
    Records(url).close()
    context = multiprocessing.get_context("spawn")
    barrier, told = context.Barrier(2), context.Queue()
    workers = [
        context.Process(target=contend, args=(url, kind, barrier, told), daemon=True)
        for kind in ("inspections", "drops")
    ]
    for worker in workers:
        worker.start()
    first, second = told.get(timeout=PATIENCE_SECONDS), told.get(timeout=PATIENCE_SECONDS)
    for worker in workers:
        worker.join(PATIENCE_SECONDS)
    assert first == second
    assert len(first) == ROUNDS * PARTS
    verdicts, drops = recorded(url, INSPECTIONS), recorded(url, DROPS)
    assert not verdicts & drops
    assert verdicts | drops == recorded(url, ENDS) == set(first)
    assert {each for each, end in first.items() if isinstance(end, bytes)} == verdicts


@pytest.mark.parametrize("commits", [True, False])
def test_an_end_that_another_worker_is_about_to_record_is_waited_for(
    records: Records, url: str, monkeypatch: pytest.MonkeyPatch, commits: bool
) -> None:
    """The other worker is between its admission and its commit; should it fail there, our end is the part's."""
    admitted, go_on = threading.Event(), threading.Event()
    original = admission.record_ends

    def slow(*arguments: Any) -> RecordedOutcomes:
        standing = original(*arguments)
        if threading.current_thread() is other:
            admitted.set()
            assert go_on.wait(PATIENCE_SECONDS)
            if not commits:
                raise UnavailableError("the worker is no more")
        return standing

    def store_a_drop() -> None:
        second = Records(url)
        try:
            second.store(dropped(1))
        except UnavailableError:
            assert not commits
        finally:
            second.close()

    monkeypatch.setattr(records_module, "record_ends", slow)
    other = threading.Thread(target=store_a_drop)
    ours: list[RecordedOutcomes] = []
    us = threading.Thread(target=lambda: ours.append(records.store(Decisions(judged=[judged(1)]))))
    other.start()
    assert admitted.wait(PATIENCE_SECONDS)
    us.start()
    go_on.set()
    other.join(PATIENCE_SECONDS)
    us.join(PATIENCE_SECONDS)
    if commits:
        assert ours == [RecordedOutcomes(dropped={id_of(1): "superseded"})]
    else:
        assert ours == [RecordedOutcomes({id_of(1): judged(1).encoded}, fresh=frozenset({id_of(1)}))]
    assert records.counts()["inspections"] + records.counts()["drops"] == 1


def test_workers_that_hold_each_others_parts_do_not_wait_for_ever(url: str) -> None:
    """The same parts in opposite orders, half of them told as drops: every worker admits them in one order."""
    Records(url).close()
    errors: list[UnavailableError] = []

    def work(worker: int) -> None:
        records = Records(url)
        for start in range(0, 200, 20):
            numbers = list(range(start, start + 20))[:: (-1) ** worker]
            mine = dropped(*numbers[::2])
            mine.judged.extend(judged(number) for number in numbers[1::2])
            try:
                records.store(mine)
            except UnavailableError as error:
                errors.append(error)
        records.close()

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert not recorded(url, INSPECTIONS) & recorded(url, DROPS)
    assert len(recorded(url, ENDS)) == 200


def test_an_end_is_forgotten_with_what_it_stands_for(records: Records, url: str) -> None:
    records.store(Decisions(judged=[judged(1, at=50.0), judged(2)], dropped=[(drop(3), 50.0), (drop(4), 100.0)]))
    assert records.forget(older_than=75.0) == 2
    assert recorded(url, ENDS) == {id_of(2), id_of(4)} == recorded(url, INSPECTIONS) | recorded(url, DROPS)
    again = records.store(Decisions(judged=[judged(3, at=100.0)]))
    assert again.verdicts == {id_of(3): judged(3).encoded}


def test_an_end_that_is_forgotten_while_it_is_looked_at_is_tried_again(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "_admit", lambda *_: frozenset())
    with pytest.raises(UnavailableError, match="forgotten"):
        records.store(Decisions(judged=[judged(1)]))


def old_database(url: str) -> sql.Engine:
    """The tables as they were before ends were admitted, with a part that stands in both of them."""
    engine = open_engine(url)
    METADATA.create_all(engine, tables=[table for table in METADATA.sorted_tables if table is not ENDS])
    with engine.begin() as connection:
        connection.execute(sql.insert(INSPECTIONS), [judged_row(judged(number)) for number in (1, 2)])
        connection.execute(sql.insert(DROPS), [drop_row(drop(number), 90.0) for number in (2, 3)])
    return engine


def test_what_an_older_patchline_recorded_is_taken_over(url: str) -> None:
    old_database(url).dispose()
    records = Records(url)
    standing = records.store(Decisions(judged=[judged(3, score=9.0)], dropped=[(drop(1), 200.0), (drop(2), 200.0)]))
    assert standing == RecordedOutcomes(
        {id_of(1): judged(1).encoded, id_of(2): judged(2).encoded}, {id_of(3): "superseded"}
    )
    (books,) = books_of(records)
    assert (dict(books.judged), dict(books.dropped), books.repeated) == ({"normal": 2}, {"superseded": 1}, 0)
    assert records.forget(older_than=150.0) == 3
    assert records.counts() == {"inspections": 0, "drops": 0, "dead_letters": 0}
    assert recorded(url, ENDS) == set()
    records.close()


def test_a_take_over_that_is_cut_short_is_done_at_the_next_start(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = old_database(url)

    def fail(connection: sql.Connection) -> None:
        connection.exec_driver_sql("SELECT 1 FROM nowhere")

    with monkeypatch.context() as patch:
        patch.setattr(migration, "_admit_what_was_recorded", fail)
        with pytest.raises((MisconfiguredError, UnavailableError), match="nowhere"):
            Records(url)
    assert "ends" not in sql.inspect(engine).get_table_names()
    engine.dispose()
    Records(url).close()
    assert recorded(url, ENDS) == {id_of(1), id_of(2), id_of(3)}


def test_workers_that_start_at_once_on_an_old_database_take_it_over_once(url: str) -> None:
    old_database(url).dispose()
    errors: list[BaseException] = []

    def start() -> None:
        try:
            Records(url).close()
        except (MisconfiguredError, UnavailableError) as error:
            errors.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert recorded(url, ENDS) == {id_of(1), id_of(2), id_of(3)}


def test_a_row_of_an_older_patchline_that_still_runs_stands_and_is_forgotten(records: Records, url: str) -> None:
    """In the midst of an upgrade: that one records without admitting."""
    engine = open_engine(url)
    with engine.begin() as connection:
        connection.execute(sql.insert(INSPECTIONS), [judged_row(judged(number)) for number in (1, 2)])
    engine.dispose()
    assert records.store(Decisions(judged=[judged(1, score=9.0)])).verdicts == {id_of(1): judged(1).encoded}
    records.forget(older_than=150.0)
    assert records.counts()["inspections"] == 0


def test_a_database_user_that_may_make_no_tables_is_told_what_to_do(postgresql: str) -> None:
    url = postgresql
    engine = open_engine(url)
    old_database(url).dispose()
    name = f"reader_{uuid.uuid4().hex[:8]}"
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE ROLE {name} LOGIN PASSWORD '{name}'")
        connection.exec_driver_sql("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    try:
        theirs = sql.make_url(url).set(username=name, password=name).render_as_string(hide_password=False)
        with pytest.raises(MisconfiguredError, match="let the database's user make tables"):
            Records(theirs)
    finally:
        with engine.begin() as connection:
            connection.exec_driver_sql(f"DROP ROLE {name}")
        engine.dispose()


def test_a_worker_that_is_frozen_in_the_middle_of_a_decision_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch, postgresql: str
) -> None:
    """It holds its part's row: the database gives it up, and the part is decided by whoever gets it then."""
    monkeypatch.setattr("analytics_service.records.tables.IDLE_IN_TRANSACTION_SECONDS", 1)
    engine = open_engine(postgresql)
    records = Records(postgresql)
    frozen = engine.connect()
    try:
        frozen.execute(sql.insert(ENDS).values(inspection_id=id_of(1), kind="drops", at=1.0))
        assert records.store(Decisions(judged=[judged(1)])).verdicts == {id_of(1): judged(1).encoded}
        with pytest.raises(sql.exc.DBAPIError, match="idle-in-transaction"):
            frozen.execute(sql.select(ENDS))
    finally:
        frozen.invalidate()
        frozen.close()
        engine.dispose()
        records.close()


def test_a_vanished_database_is_noticed_unless_the_url_says_otherwise() -> None:
    pytest.importorskip("psycopg", reason="psycopg is not installed (pip install 'patchline[postgres]')")
    plain = engine_of("postgresql+psycopg://user@host/name").url.query
    assert (plain["connect_timeout"], plain["keepalives_idle"]) == ("10", "10")
    assert engine_of("postgresql+psycopg://user@host/name?connect_timeout=3").url.query["connect_timeout"] == "3"
