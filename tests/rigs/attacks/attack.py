"""An attack, and what became of it."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.rigs.attacks.site import SiteUnderAttack


class AttackSucceededError(Exception):
    """Nothing refused it."""


@dataclass(frozen=True)
class Refused:
    """How an attack ended.

    Attributes:
        by: What refused it.
        evidence: What was seen, as the programs said it.
    """

    by: str
    evidence: str


@dataclass(frozen=True)
class Attack:
    """One attack.

    Attributes:
        name: What the attacker wants.
        how: What is done, and with which certificate.
        attempt: Does it; raises `AttackSucceededError` when nothing refuses it.
    """

    name: str
    how: str
    attempt: Callable[[SiteUnderAttack], Refused]
