"""A part ends once: a verdict and a drop of it contend for one row, whoever decides."""

import multiprocessing
import threading
import uuid
from collections.abc import Iterator
from multiprocessing.synchronize import Barrier
from typing import Any

import pytest
import sqlalchemy as sql

from analytics_service.records import records as records_module
from analytics_service.records.engine import engine_of, open_engine
from analytics_service.records.outcomes import PartOutcome, Stored, outcome_of_drop, outcome_of_verdict, row_of_outcome
from analytics_service.records.records import Records
from analytics_service.records.tables import OUTCOMES, SCHEMA, create_tables
from patchline.wire.errors import MisconfiguredError, UnavailableError
from patchline.wire.messages import DropMessage, Verdict

STATION = "plant/line1/cam1"
ROUNDS, PARTS = 20, 6
PATIENCE_SECONDS = 60.0


def id_of(number: int) -> str:
    return str(uuid.UUID(int=number))


def judged(number: int, *, score: float = 1.5, at: float = 100.0) -> PartOutcome:
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
    return outcome_of_verdict(verdict, recorded_at=at)


def drop(number: int, *, reason: str = "superseded", at: float = 100.0) -> PartOutcome:
    message = DropMessage(
        inspection_id=id_of(number),
        station=STATION,
        boot_id="boot",
        sequence=number,
        part_id=f"part-{number}",
        captured_at=1.0,
        reason=reason,  # type: ignore[arg-type]
    )
    return outcome_of_drop(message, recorded_at=at)


def bodies(stored: Stored) -> dict[str, bytes]:
    return {name: outcome.body for name, outcome in stored.outcomes.items()}


@pytest.fixture
def records(url: str) -> Iterator[Records]:
    records = Records(url)
    yield records
    records.close()


def recorded(url: str, kind: str) -> set[str]:
    engine = open_engine(url)
    with engine.connect() as connection:
        query = sql.select(OUTCOMES.c.inspection_id).where(OUTCOMES.c.kind == kind)
        found = set(connection.execute(query).scalars())
    engine.dispose()
    return found


def test_a_drop_of_a_judged_part_leaves_the_verdict_standing(records: Records) -> None:
    records.store([judged(1)])
    stored = records.store([drop(1), drop(2)])
    assert bodies(stored) == {id_of(1): judged(1).body, id_of(2): drop(2).body}
    assert stored.fresh == {id_of(2)}
    assert (records.counts()["verdicts"], records.counts()["drops"]) == (1, 1)


def test_a_verdict_on_a_dropped_part_leaves_the_drop_standing(records: Records) -> None:
    records.store([drop(1)])
    stored = records.store([judged(1), judged(2)])
    assert bodies(stored) == {id_of(1): drop(1).body, id_of(2): judged(2).body}
    assert stored.fresh == {id_of(2)}
    assert (records.counts()["verdicts"], records.counts()["drops"]) == (1, 1)


def test_the_reason_that_was_recorded_first_stands(records: Records) -> None:
    records.store([drop(1)])
    assert bodies(records.store([drop(1, reason="too_large")])) == {id_of(1): drop(1).body}


def contend(url: str, kind: str, barrier: Barrier, told: Any) -> None:
    """One worker of a race: it decides the same parts as the other, at the same moment, as one of the two kinds."""
    records = Records(url)
    ends: dict[str, bytes] = {}
    for start in range(0, ROUNDS * PARTS, PARTS):
        mine = [(drop if kind == "drops" else judged)(number) for number in range(start, start + PARTS)]
        barrier.wait(PATIENCE_SECONDS)
        ends |= bodies(records.store(mine))
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
    verdicts, drops = recorded(url, "verdict"), recorded(url, "drop")
    assert verdicts | drops == set(first)
    assert {each for each, body in first.items() if b'"kind":"verdict"' in body} == verdicts


@pytest.mark.parametrize("commits", [True, False])
def test_an_outcome_that_another_worker_is_about_to_record_is_waited_for(
    records: Records, url: str, monkeypatch: pytest.MonkeyPatch, commits: bool
) -> None:
    """The other worker is between its insert and its commit; should it fail there, our outcome is the part's."""
    inserted, go_on = threading.Event(), threading.Event()
    original = records_module._outcomes_of

    def slow(*arguments: Any) -> Any:
        if threading.current_thread() is other:
            inserted.set()
            assert go_on.wait(PATIENCE_SECONDS)
            if not commits:
                raise UnavailableError("the worker is no more")
        return original(*arguments)

    def store_a_drop() -> None:
        second = Records(url)
        try:
            second.store([drop(1)])
        except UnavailableError:
            assert not commits
        finally:
            second.close()

    monkeypatch.setattr(records_module, "_outcomes_of", slow)
    other = threading.Thread(target=store_a_drop)
    ours: list[Stored] = []
    us = threading.Thread(target=lambda: ours.append(records.store([judged(1)])))
    other.start()
    assert inserted.wait(PATIENCE_SECONDS)
    us.start()
    go_on.set()
    other.join(PATIENCE_SECONDS)
    us.join(PATIENCE_SECONDS)
    (stored,) = ours
    assert bodies(stored) == {id_of(1): (drop(1) if commits else judged(1)).body}
    assert bool(stored.fresh) is not commits


def test_workers_that_hold_each_others_parts_do_not_wait_for_ever(url: str) -> None:
    """The same parts in opposite orders, half of them told as drops: every worker inserts them in one order."""
    Records(url).close()
    errors: list[UnavailableError] = []

    def work(worker: int) -> None:
        records = Records(url)
        for start in range(0, 200, 20):
            numbers = list(range(start, start + 20))[:: (-1) ** worker]
            mine = [*(drop(number) for number in numbers[::2]), *(judged(number) for number in numbers[1::2])]
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
    assert len(recorded(url, "verdict") | recorded(url, "drop")) == 200


def test_workers_that_start_at_once_on_an_empty_database_make_the_tables_once(url: str) -> None:
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
    engine = open_engine(url)
    with engine.connect() as connection:
        assert connection.execute(sql.select(SCHEMA.c.version)).scalars().all() == [1]
    engine.dispose()


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE dead_letters (received_sha256 VARCHAR(64))",
        "CREATE TABLE outcomes (something VARCHAR(8))",
        "CREATE TABLE records_schema (version INTEGER)",
    ],
)
def test_a_database_with_other_tables_of_these_names_is_refused_and_left_alone(url: str, statement: str) -> None:
    engine = open_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql(statement)
    before = sql.inspect(engine).get_table_names()
    with pytest.raises(MisconfiguredError, match="another form"):
        Records(url)
    assert sql.inspect(engine).get_table_names() == before
    engine.dispose()


def test_records_of_a_later_version_are_refused(records: Records, url: str) -> None:
    engine = open_engine(url)
    with engine.begin() as connection:
        connection.execute(sql.update(SCHEMA).values(version=2))
    engine.dispose()
    with pytest.raises(MisconfiguredError, match="another form: 2; this version writes form 1"):
        Records(url)


def test_a_database_user_that_may_make_no_tables_is_told_what_to_do(postgresql: str) -> None:
    engine = open_engine(postgresql)
    name = f"reader_{uuid.uuid4().hex[:8]}"
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE ROLE {name} LOGIN PASSWORD '{name}'")
        connection.exec_driver_sql("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    try:
        theirs = sql.make_url(postgresql).set(username=name, password=name).render_as_string(hide_password=False)
        with pytest.raises(MisconfiguredError, match="let the database's user make tables"):
            Records(theirs)
    finally:
        with engine.begin() as connection:
            connection.exec_driver_sql(f"DROP ROLE {name}")
        engine.dispose()


def test_a_worker_that_is_frozen_in_the_middle_of_a_decision_does_not_stop_the_others(
    postgresql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds its part's row: the database gives it up, and the part is decided by whoever gets it then."""
    monkeypatch.setattr("analytics_service.records.engine.IDLE_IN_TRANSACTION_SECONDS", 1)
    engine = open_engine(postgresql)
    create_tables(engine)
    records = Records(postgresql)
    frozen = engine.connect()
    try:
        frozen.execute(sql.insert(OUTCOMES).values(row_of_outcome(drop(1))))
        assert bodies(records.store([judged(1)])) == {id_of(1): judged(1).body}
        with pytest.raises(sql.exc.DBAPIError, match="idle-in-transaction"):
            frozen.execute(sql.select(OUTCOMES))
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
