"""Rounds of a fault on one line, each followed by its books."""

import shutil
import tempfile
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from random import Random

from patchline.wire.errors import MisconfiguredError, UnavailableError
from tests.rigs.torture.fault import Fault, Round
from tests.rigs.torture.ground import Ground
from tests.rigs.torture.invariant import Finding, examine
from tests.rigs.torture.rig import Rig

_FIRST_PARTS = 2
"""The fault's moment is drawn from when so many parts have stood before the camera."""


def rounds_of(
    number: str,
    fault: Fault,
    ground: Ground,
    *,
    count: int,
    seed: int,
    until: float = float("inf"),
    evidence: Path | None = None,
) -> Iterator[Round]:
    """Play a fault again and again on a line of its own; a round that breaks the promise ends it.

    Args:
        number: The fault's.
        fault: What happens.
        ground: Pictures and artifacts.
        count: Rounds at most.
        seed: Of the first round; the next ones count on.
        until: On the monotonic clock, when no further round begins.
        evidence: Where a broken line's files and logs are copied to.
    """
    with tempfile.TemporaryDirectory(prefix="patchline-torture-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        try:
            with Rig(folder / "line", ground, fault.needs, seed=seed) as rig:
                before: Finding | None = None
                for place in range(count):
                    if place and time.monotonic() > until:
                        return
                    played, before = _play(rig, number, fault, seed + place, before)
                    if played.violations and evidence is not None:
                        shutil.copytree(folder, evidence / f"{number}-{seed + place}", dirs_exist_ok=True)
                    yield played
                    if played.violations:
                        return
        except (UnavailableError, MisconfiguredError) as error:
            yield Round(fault=number, seed=seed, violations=(f"the line itself failed: {error}",))


def _play(rig: Rig, number: str, fault: Fault, seed: int, before: Finding | None) -> tuple[Round, Finding]:
    assert fault.strike is not None
    began = time.monotonic()
    rig.boot_edge(rig.deal(fault.parts))
    rig.until_exposed(_FIRST_PARTS)
    fault.strike(rig, Random(f"{number} {seed}"))
    healed, seen = time.time(), frozenset(rig.exposed())
    rig.finish()
    finding = examine(rig, fault)
    earlier = before.account.dropped if before else {}
    dropped = {reason: count - earlier.get(reason, 0) for reason, count in finding.account.dropped.items()}
    played = Round(
        fault=number,
        seed=seed,
        produced=finding.account.produced - (before.account.produced if before else 0),
        judged=finding.account.judged - (before.account.judged if before else 0),
        dropped={reason: count for reason, count in dropped.items() if count},
        lost=finding.lost,
        duplicated=finding.duplicated,
        repeats=finding.account.duplicates - (before.account.duplicates if before else 0),
        recover_seconds=_recovered(rig, seen, healed),
        seconds=time.monotonic() - began,
        violations=finding.violations,
    )
    return played, finding


def _recovered(rig: Rig, seen: Collection[str], healed: float) -> float:
    """From the end of the fault until the last part seen before it was told its verdict or drop."""
    told: dict[str, float] = {}
    for sighting in rig.watcher.sightings():
        told.setdefault(sighting.receipt.part_id, sighting.seen_at)
    return max(0.0, *(told[part] - healed for part in seen if part in told), 0.0)
