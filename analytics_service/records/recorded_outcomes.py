"""One end for every part: a verdict and a drop of it contend for one row, and the first to be committed stands.

Verdicts and drops are told in different words and kept in tables of their own, so neither table's key can keep a part
from standing in both. The key they share can: whoever records an end admits it here first, in the same transaction.
"""

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from analytics_service.records.decisions import Decisions, RecordedOutcomes, drop_row, judged_row
from analytics_service.records.tables import DROPS, ENDS, INSPECTIONS, End, insert_once
from patchline.wire.errors import UnavailableError
from patchline.wire.messages import DropReason

try:
    import sqlalchemy as sql
except ModuleNotFoundError as missing:  # pragma: no cover - the base install has no analytics
    from patchline.wire.errors import missing_extra

    raise missing_extra("sqlalchemy", "analytics") from missing


def record_ends(engine: sql.Engine, connection: sql.Connection, decisions: Decisions) -> RecordedOutcomes:
    """Admit what a micro-batch decided, and record it as far as it was the first; all ends as they stand.

    Another worker's end of the same part, not yet committed, is waited for: PostgreSQL lets only one of two rows with
    one key in, SQLite only one of two writers.

    Raises:
        UnavailableError: An end was forgotten in this very instant; the transaction has to be tried again.
    """
    claims = _claims_of(decisions)
    if not claims:
        return RecordedOutcomes()
    fresh = _admit(engine, connection, claims)
    kinds = {row["inspection_id"]: row["kind"] for row in claims if row["inspection_id"] in fresh}
    kinds |= _standing_kinds(connection, [row["inspection_id"] for row in claims if row["inspection_id"] not in fresh])
    new = {
        INSPECTIONS: [judged_row(judged) for judged in decisions.judged],
        DROPS: [drop_row(drop, at) for drop, at in decisions.dropped],
    }
    for table, rows in new.items():
        admitted = [row for row in rows if row["inspection_id"] in fresh and kinds[row["inspection_id"]] == table.name]
        if admitted:
            # An older patchline beside this one admits nothing: should it have recorded the part, its row stays.
            connection.execute(insert_once(engine, table), admitted)
    return RecordedOutcomes(
        verdicts_of(connection, [each for each, kind in kinds.items() if kind == INSPECTIONS.name]),
        reasons_of(connection, [each for each, kind in kinds.items() if kind == DROPS.name]),
        fresh=fresh,
    )


def verdicts_of(connection: sql.Connection, inspection_ids: Sequence[str]) -> dict[str, bytes]:
    """The published bytes of the parts among these that have been judged."""
    query = sql.select(INSPECTIONS.c.inspection_id, INSPECTIONS.c.verdict)
    rows = connection.execute(query.where(INSPECTIONS.c.inspection_id.in_(inspection_ids)))
    return {row.inspection_id: bytes(row.verdict) for row in rows}


def reasons_of(connection: sql.Connection, inspection_ids: Sequence[str]) -> dict[str, DropReason]:
    """Why the parts among these were dropped that were told as drops."""
    query = sql.select(DROPS.c.inspection_id, DROPS.c.reason).where(DROPS.c.inspection_id.in_(inspection_ids))
    return {row.inspection_id: row.reason for row in connection.execute(query)}


def _claims_of(decisions: Decisions) -> list[dict[str, Any]]:
    """One row a part, over both kinds in one order for all workers: two that hold each other's would wait for ever."""
    claims: dict[str, dict[str, Any]] = {}
    for judged in decisions.judged:
        verdict = judged.verdict
        claims.setdefault(verdict.inspection_id, _claim(verdict.inspection_id, "inspections", verdict.judged_at))
    for drop, at in decisions.dropped:
        claims.setdefault(drop.inspection_id, _claim(drop.inspection_id, "drops", at))
    return sorted(claims.values(), key=itemgetter("inspection_id"))


def _claim(inspection_id: str, kind: End, at: float) -> dict[str, Any]:
    return {"inspection_id": inspection_id, "kind": kind, "at": at}


def _admit(engine: sql.Engine, connection: sql.Connection, claims: Sequence[dict[str, Any]]) -> frozenset[str]:
    """Insert what is not there yet; the parts whose end this is."""
    statement = insert_once(engine, ENDS).returning(ENDS.c.inspection_id)
    return frozenset(connection.execute(statement, claims).scalars())


def _standing_kinds(connection: sql.Connection, inspection_ids: Sequence[str]) -> dict[str, End]:
    """How parts ended that had ended before; held until the end of the transaction, so that none is forgotten in it."""
    if not inspection_ids:
        return {}
    query = sql.select(ENDS.c.inspection_id, ENDS.c.kind).where(ENDS.c.inspection_id.in_(inspection_ids))
    held = query.order_by(ENDS.c.inspection_id).with_for_update(read=True, key_share=True)
    kinds: dict[str, End] = {row.inspection_id: row.kind for row in connection.execute(held)}
    if len(kinds) < len(inspection_ids):
        raise UnavailableError("the end of a part was forgotten while it was looked at")
    return kinds
