"""What a fault is to the torture, and what a round of it came to."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random

import msgspec

from tests.rigs.torture.needs import Needs
from tests.rigs.torture.rig import Rig

Strike = Callable[[Rig, Random], None]
"""Does the fault to a line at work, at moments its generator draws; returns when the world is whole again."""


def possible() -> str:
    """Nothing keeps the fault from being injected."""
    return ""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A way the world can break.

    Attributes:
        name: What breaks, in a few words.
        how: How it is injected.
        strike: Does it; None where it cannot be injected anywhere.
        why_not: Why it cannot be injected on this machine; empty where it can.
        drops: The reasons that parts may be dropped for under this fault, each told and receipted.
        strangers: Messages that no part belongs to are injected, so the records may hold more than the ledger.
        letters: Messages are damaged, so some must stand among the dead letters, or nothing was injected.
        parts: Parts of one round.
        kills: It ends programs by SIGKILL.
    """

    name: str
    how: str
    strike: Strike | None
    needs: Needs = field(default_factory=Needs)
    why_not: Callable[[], str] = possible
    drops: frozenset[str] = frozenset({"interrupted"})
    strangers: bool = False
    dead_letters: bool = False
    parts: int = 20
    kills: bool = False


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """What one round came to.

    Attributes:
        produced: Parts of the truth ledger.
        judged: With exactly one verdict.
        dropped: Reason -> parts with a stated, receipted drop instead.
        lost: Parts with neither.
        duplicated: Parts judged twice or otherwise than before, and gates that moved twice.
        repeats: Identical copies of verdicts beyond the first that were seen on the wire: allowed, and needed.
        recover_seconds: From the end of the fault until every part seen before it had its verdict.
        violations: Everything that breaks the promise, one sentence each.
    """

    fault: str
    seed: int
    produced: int = 0
    judged: int = 0
    dropped: Mapping[str, int] = {}
    lost: int = 0
    duplicated: int = 0
    repeats: int = 0
    recover_seconds: float = 0.0
    seconds: float = 0.0
    violations: tuple[str, ...] = ()
