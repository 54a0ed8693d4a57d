"""What the rounds of each fault came to, for people and for a file."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from rich.table import Table

from patchline.bench.stamp import Stamp
from tests.rigs.torture.fault import Round
from tests.rigs.torture.faults import FAULTS


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """All rounds of one fault.

    Attributes:
        not_injected: Why there was no round; empty where there was.
        recover_seconds: Median and longest, from the end of the fault.
    """

    fault: str
    name: str
    how: str
    rounds: int = 0
    produced: int = 0
    judged: int = 0
    dropped: dict[str, int] = {}
    lost: int = 0
    duplicated: int = 0
    repeats: int = 0
    recover_seconds: dict[str, float] = {}
    violations: tuple[str, ...] = ()
    not_injected: str = ""


def row_of(number: str, rounds: Sequence[Round], *, not_injected: str = "") -> Row:
    """Add up the rounds of one fault; what one line lost is counted once, not again in each of its rounds."""
    fault = FAULTS[number]
    dropped: Counter[str] = Counter()
    for played in rounds:
        dropped.update(played.dropped)
    recovered = [played.recover_seconds for played in rounds]
    return Row(
        fault=number,
        name=fault.name,
        how=fault.how,
        rounds=len(rounds),
        produced=sum(played.produced for played in rounds),
        judged=sum(played.judged for played in rounds),
        dropped=dict(sorted(dropped.items())),
        lost=sum(played.lost for played in rounds),
        duplicated=sum(played.duplicated for played in rounds),
        repeats=sum(played.repeats for played in rounds),
        recover_seconds={"p50": float(np.median(recovered)), "max": max(recovered)} if recovered else {},
        violations=tuple(f"seed {played.seed}: {each}" for played in rounds for each in played.violations),
        not_injected=not_injected,
    )


def shown(rows: Iterable[Row]) -> Table:
    """The table for the terminal."""
    table = Table(title="Fault torture", title_justify="left")
    for heading in ("fault", "what breaks"):
        table.add_column(heading)
    for heading in ("rounds", "parts", "verdicts", "drops", "lost", "double", "recover s, p50 / max"):
        table.add_column(heading, justify="right")
    for row in rows:
        if not row.rounds:
            table.add_row(row.fault, row.name, f"not injected: {row.not_injected or 'not yet'}")
            continue
        recover = _recovery(row)
        counts = (row.rounds, row.produced, row.judged, sum(row.dropped.values()), row.lost, row.duplicated)
        table.add_row(row.fault, row.name, *map(str, counts), recover, style="red" if row.violations else None)
    return table


def markdown(rows: Iterable[Row]) -> str:
    """The same for a page."""
    lines = [
        "| fault | what breaks | how | rounds | parts | verdicts | drops | lost | double | recover s, p50 / max |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        start = f"| {row.fault} | {row.name} | {row.how} |"
        if not row.rounds:
            lines.append(f"{start} not injected: {row.not_injected} | | | | | | |")
            continue
        drops = ", ".join(f"{count} {reason}" for reason, count in row.dropped.items()) or "0"
        counts = f"{row.rounds} | {row.produced} | {row.judged} | {drops} | {row.lost} | {row.duplicated}"
        lines.append(f"{start} {counts} | {_recovery(row)} |")
    return "\n".join(lines) + "\n"


def _recovery(row: Row) -> str:
    """Median and longest; a line that was ended early may not have told them."""
    told = row.recover_seconds
    return f"{told['p50']:.1f} / {told['max']:.1f}" if told else "-"


def read(path: Path) -> list[Row]:
    """The rows of a file that `write` wrote."""
    return msgspec.convert(msgspec.json.decode(path.read_bytes())["faults"], list[Row])


def write(path: Path, rows: Sequence[Row], stamp: Stamp, seconds: float) -> None:
    """Write the figures, and what they depend on, as JSON."""
    content: dict[str, Any] = {
        **asdict(stamp),
        "seconds": seconds,
        "faults": [msgspec.to_builtins(row) for row in rows],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(content)) + b"\n")
