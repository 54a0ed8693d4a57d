"""Parts, verdicts and sightings by the dozen."""

import uuid
from collections.abc import Callable

import pytest

from patchline.replay.ledger import Entry
from patchline.replay.reconciliation import Sighting, Witness
from patchline.wire.messages import DropReason, DropReceipt, Outcome, Receipt, Verdict, sha256_of, to_json

STATION = "plant/line/one"


@pytest.fixture
def entries() -> list[Entry]:
    """Six parts of one station, every third defective."""
    return [
        Entry(
            station=STATION,
            part_id=f"part-{number}",
            label="scratch" if number % 3 == 0 else "good",
            picture=f"/pictures/{number}.png",
        )
        for number in range(6)
    ]


@pytest.fixture
def verdict_on() -> Callable[..., Verdict]:
    def make(
        entry: Entry,
        *,
        inspection: int | None = None,
        score: float = 1.0,
        outcome: Outcome | None = None,
        at: float = 0.0,
    ) -> Verdict:
        number = int(entry.part_id.rpartition("-")[2]) if inspection is None else inspection
        return Verdict(
            inspection_id=str(uuid.UUID(int=number + 1)),
            station=entry.station,
            boot_id="boot",
            sequence=number,
            part_id=entry.part_id,
            captured_at=100.0 + number,
            outcome=outcome or ("anomalous" if score > 2.0 else "normal"),
            received_sha256="0" * 64,
            score=None if outcome == "unreadable" else score,
            threshold=None if outcome in {"unreadable", "uncalibrated"} else 2.0,
            judged_at=at or 100.5 + number,
            server_seconds=0.05,
            stages={"embed": 0.03, "score": 0.01},
        )

    return make


@pytest.fixture
def drop_of() -> Callable[..., DropReceipt]:
    def make(entry: Entry, reason: DropReason = "capture_failed") -> DropReceipt:
        number = int(entry.part_id.rpartition("-")[2])
        return DropReceipt(
            inspection_id=str(uuid.UUID(int=number + 1)),
            station=entry.station,
            boot_id="boot",
            sequence=number,
            part_id=entry.part_id,
            captured_at=100.0 + number,
            reason=reason,
        )

    return make


@pytest.fixture
def sighting_of() -> Callable[..., Sighting]:
    def make(receipt: Receipt, *, witness: Witness = "wire", seen_at: float = 200.0) -> Sighting:
        return Sighting(receipt=receipt, digest=sha256_of(to_json(receipt)), witness=witness, seen_at=seen_at)

    return make
