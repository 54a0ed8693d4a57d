"""A million outcomes: the auditor finds what is missing, and reads only what is new or known to be missing."""

import time

import pytest
import sqlalchemy as sql

from analytics_service.audit.auditor import Auditor
from analytics_service.records.engine import open_engine
from analytics_service.records.records import Records
from patchline.wire.topics import Topics

STATIONS, PARTS = 10, 100_000
_COLUMNS = "inspection_id, station, sequence, part_id, captured_at, kind, result, score, detail, body, recorded_at"
_NUMBERS = {
    "sqlite": "WITH RECURSIVE numbers(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM numbers WHERE n < {last})",
    "postgresql": "WITH numbers AS (SELECT generate_series({first}, {last}) AS n)",
}
_BODY = {"sqlite": "zeroblob(400)", "postgresql": "decode(repeat('00', 400), 'hex')"}


def fill(engine: sql.Engine, station: str, first: int, last: int, *, without: int) -> None:
    """Outcomes of a station, with one number in so many missing."""
    kind = engine.dialect.name
    numbers = _NUMBERS[kind].format(first=first, last=last)
    select = (
        f"SELECT '{station[-2:]}' ||"
        f" substr('0000000000' || n, -10), '{station}', n, 'p', 1.0, 'verdict', 'normal', 1.0,"
        f" '', {_BODY[kind]}, 1.0 FROM numbers WHERE n % {without} <> 7"
    )
    if kind == "postgresql":
        select = select.replace("substr('0000000000' || n, -10)", "lpad(n::text, 10, '0')")
        statement = f"{numbers} INSERT INTO outcomes ({_COLUMNS}) {select}"
    else:
        statement = f"INSERT INTO outcomes ({_COLUMNS}) {numbers} {select}"
    with engine.begin() as connection:
        connection.exec_driver_sql(statement.replace("%", "%%") if kind == "postgresql" else statement)


@pytest.mark.slow
def test_missing_numbers_are_found_among_a_million(url: str) -> None:
    records, engine = Records(url), open_engine(url)
    names = [f"plant/line/c{number}" for number in range(STATIONS)]
    for name in names:
        fill(engine, name, 1, PARTS, without=9001)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE" if engine.dialect.name == "sqlite" else "VACUUM ANALYZE outcomes")
    shown: dict[str, int] = {}
    auditor = Auditor(
        records,
        topics=Topics(),
        shown=type("Shown", (), {"show_unaccounted": lambda _, station, parts: shown.update({station: parts})})(),
        grace_seconds=0.0,
    )
    began = time.perf_counter()
    missing = auditor.look()
    first = time.perf_counter() - began
    assert missing == dict.fromkeys(names, 12)
    for name in names:
        fill(engine, name, PARTS + 1, PARTS + 100, without=50)
    began = time.perf_counter()
    missing = auditor.look()
    later = time.perf_counter() - began
    assert missing == dict.fromkeys(names, 14)
    began = time.perf_counter()
    assert auditor.look() == missing
    quiet = time.perf_counter() - began
    print(
        f"\n{engine.dialect.name}: first look {first * 1000:.0f} ms, "
        f"1,000 new outcomes and 20 new gaps {later * 1000:.0f} ms, nothing new {quiet * 1000:.0f} ms"
    )
    engine.dispose()
    records.close()
