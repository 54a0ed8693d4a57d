"""`python -m tests.rigs.attacks`: try everything, and print what refused it as a table of Markdown."""

import platform
import sys
import tempfile
from pathlib import Path

from tests.rigs.attacks import branches, content, doors
from tests.rigs.attacks.attack import Attack, AttackSucceededError
from tests.rigs.attacks.site import SiteUnderAttack

ATTACKS: tuple[Attack, ...] = (*doors.ATTACKS, *branches.ATTACKS, *content.ATTACKS)


def main() -> int:
    """Try all attacks on one site; 0 when each was refused, else 1."""
    succeeded = 0
    print(
        f"Broker, service and station as real processes on {platform.platform()}, Python {platform.python_version()}.\n"
    )
    print("| attack | how it was tried | refused by | evidence |")
    print("|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, SiteUnderAttack(Path(folder)) as site:
        for attack in ATTACKS:
            try:
                refused = attack.attempt(site)
                row = (attack.name, attack.how, refused.by, refused.evidence)
            except AttackSucceededError as error:
                succeeded += 1
                row = (attack.name, attack.how, "**nothing**", str(error))
            print("| " + " | ".join(_cell(text, folder) for text in row) + " |", flush=True)
    print(f"\n{len(ATTACKS) - succeeded} of {len(ATTACKS)} attacks refused.")
    return 1 if succeeded else 0


def _cell(text: str, folder: str) -> str:
    return " ".join(text.replace(folder, "").replace("|", "\\|").split())


if __name__ == "__main__":
    sys.exit(main())
