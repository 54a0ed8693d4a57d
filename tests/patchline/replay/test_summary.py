"""The figures of a report are those of the parts, and add up."""

from typing import Any

import msgspec
import pytest

from edge_node.outbox.journal import JournalLine
from patchline.replay.accuracy import Accuracy
from patchline.replay.reconciliation import join
from patchline.replay.summary import parts_per_second, passed, summarise, verdict_table, write_summary

STATION = "plant/line/one"
SHARED_KEYS = [
    "produced",
    "judged",
    "dropped",
    "duplicates",
    "image_auroc",
    "pixel_auroc",
    "pixel_f1",
    "aupro",
    "parts_per_second",
    "payload_bytes",
    "latency_seconds",
    "machine",
    "versions",
    "commit",
    "seed",
]


def line(verdict: Any, **changes: Any) -> Any:
    fields = {
        "sequence": verdict.sequence,
        "inspection_id": verdict.inspection_id,
        "part_id": verdict.part_id,
        "boot_id": "boot",
        "captured_at": 0.0,
        "outcome": verdict.outcome,
        "latency_seconds": 0.1,
        "payload_bytes": 5000,
        "wire_bytes": 5500,
        "stages": {
            "capture": 0.01,
            "encode": 0.02,
            **verdict.stages,
            "server": 0.05,
            "transmission": 0.02,
            "uplink": 0.01,
        },
    }
    return JournalLine(**{**fields, **changes})


@pytest.fixture
def verdicts(entries: Any, verdict_on: Any) -> Any:
    return [verdict_on(entry, score=3.0 if entry.defective else 1.0) for entry in entries]


@pytest.fixture
def summary(entries: Any, verdicts: Any, sighting_of: Any) -> Any:
    account = join(entries, [sighting_of(verdict, seen_at=0.0) for verdict in verdicts])
    lines = [line(verdict) for verdict in verdicts[1:]]
    lines.append(line(verdicts[0], latency_seconds=3.0, gate_action="reject", gate_grounds="deadline"))
    return summarise(
        account,
        {STATION: lines},
        accuracy=Accuracy(image_auroc=1.0),
        by_station={STATION: Accuracy(image_auroc=1.0)},
        peaks=None,
        stamp={"machine": {"cores": 2}, "versions": {"python": "3"}, "commit": None, "seed": 7},
        configuration={"codec": "webp:80"},
        faults=[],
        duration_seconds=6.0,
    )


def test_the_shared_keys_come_first_and_by_their_names(summary: Any) -> None:
    assert list(msgspec.json.decode(write_summary(summary)))[: len(SHARED_KEYS)] == SHARED_KEYS


def test_distributions_have_the_keys_every_report_has(summary: Any) -> None:
    report = msgspec.json.decode(write_summary(summary))
    for key in ("payload_bytes", "latency_seconds"):
        assert list(report[key]) == ["mean", "p50", "p95", "p99"]


def test_the_rows_of_the_verdict_table_add_up(entries: Any, verdicts: Any, sighting_of: Any) -> None:
    table = verdict_table(join(entries, [sighting_of(verdict) for verdict in verdicts[:-1]]).fates)
    for row in table.values():
        assert row.accepted + row.rejected + row.uncalibrated + row.unreadable + row.without_verdict == row.produced
    assert table["good"].produced + table["defect"].produced == len(entries)
    assert table["defect"].rejected == table["scratch"].rejected == 2


@pytest.mark.parametrize(
    ("outcome", "column"), [("uncalibrated", "uncalibrated"), ("unreadable", "unreadable"), ("normal", "accepted")]
)
def test_each_outcome_has_its_column(
    outcome: Any, column: Any, entries: Any, verdict_on: Any, sighting_of: Any
) -> None:
    fates = join(entries[:1], [sighting_of(verdict_on(entries[0], outcome=outcome))]).fates
    assert getattr(passed(fates), column) == 1


def test_a_late_verdict_is_counted_and_stays_a_verdict(summary: Any) -> None:
    assert summary.late == summary.stations[STATION].late == 1
    assert summary.judged == summary.produced


def test_stages_are_told_in_the_order_of_a_parts_journey(summary: Any) -> None:
    assert [(name, times.place) for name, times in summary.stage_seconds.items()] == [
        ("capture", "edge"),
        ("encode", "edge"),
        ("transmission", "link"),
        ("embed", "service"),
        ("score", "service"),
    ]


def test_the_uplinks_share_stands_beside_the_transmission_and_is_no_stage(summary: Any) -> None:
    assert (summary.transmission_seconds.p50, summary.uplink_seconds.p50) == (0.02, 0.01)


def test_the_rate_runs_from_the_first_capture_to_the_last_verdict(
    entries: Any, verdicts: Any, sighting_of: Any
) -> None:
    fates = join(entries, [sighting_of(verdict, seen_at=103.0 + verdict.sequence) for verdict in verdicts]).fates
    assert parts_per_second(fates) == pytest.approx(len(entries) / 8.0)


def test_one_part_has_no_rate(entries: Any, verdicts: Any, sighting_of: Any) -> None:
    assert parts_per_second(join(entries[:1], [sighting_of(verdicts[0])]).fates) is None
