"""`python -m tests.rigs.torture`: break a line in every known way, again and again, and read its books.

Exit code 1 when a part was lost, judged twice, or the books did not balance after any round.
"""

import logging
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console

from patchline.bench.stamp import Stamp, stamp
from patchline.replay.broker import broker_version
from patchline.wire.errors import EXIT_MISCONFIGURED
from tests.rigs.torture.fault import Round
from tests.rigs.torture.faults import FAULTS
from tests.rigs.torture.ground import Ground, prepare
from tests.rigs.torture.rounds import rounds_of
from tests.rigs.torture.table import Row, row_of, shown, write

_KILL_ROUNDS = 20
_ROUNDS = 3


def command(
    *,
    seconds: Annotated[float, typer.Option(min=1, help="Go round all faults again until so long has passed.")] = 1.0,
    rounds: Annotated[
        int | None, typer.Option(min=1, help="Rounds of each fault; 20 of those that kill and 3 of others by default.")
    ] = None,
    fault: Annotated[list[str] | None, typer.Option(help="Only this fault, such as F07; repeatable.")] = None,
    seed: Annotated[int, typer.Option(help="Of all moments and choices.")] = 0,
    json: Annotated[Path | None, typer.Option(help="Also write the figures to this file.")] = None,
    evidence: Annotated[Path | None, typer.Option(help="Where to copy the files and logs of a broken line.")] = None,
) -> None:
    """Break a line in every known way, again and again, and read its books after every round."""
    unknown = sorted(set(fault or ()) - set(FAULTS))
    console = Console()
    if unknown:
        console.print(f"there is no fault {unknown[0]}; there are {', '.join(FAULTS)}")
        raise typer.Exit(EXIT_MISCONFIGURED)
    chosen, began = fault or list(FAULTS), time.monotonic()
    reasons = {number: FAULTS[number].why_not() for number in chosen}
    played: dict[str, list[Round]] = {number: [] for number in chosen}
    with tempfile.TemporaryDirectory(prefix="patchline-ground-") as folder:
        Path(folder).chmod(0o755)
        ground = prepare(Path(folder))
        cycle = 0
        while not cycle or time.monotonic() < began + seconds:
            for number in (number for number in chosen if not reasons[number]):
                until = float("inf") if not cycle else began + seconds
                if json is not None:  # a run that is ended early has told what it saw
                    write(json, _rows(played, reasons), _stamp(seed), time.monotonic() - began)
                _play_one(
                    console,
                    number,
                    ground,
                    played[number],
                    rounds=rounds,
                    seed=seed + 1000 * cycle,
                    until=until,
                    evidence=evidence,
                )
            cycle += 1
            if all(reasons.values()):
                break
    _tell(console, _rows(played, reasons), seed=seed, json=json, seconds=time.monotonic() - began)


def _rows(played: Mapping[str, Sequence[Round]], reasons: Mapping[str, str]) -> list[Row]:
    return [row_of(number, rounds, not_injected=reasons[number]) for number, rounds in played.items()]


def _stamp(seed: int) -> Stamp:
    return stamp(seed=seed, broker=broker_version("mosquitto"))


def _play_one(
    console: Console,
    number: str,
    ground: Ground,
    played: list[Round],
    *,
    rounds: int | None,
    seed: int,
    until: float,
    evidence: Path | None,
) -> None:
    count = rounds or (_KILL_ROUNDS if FAULTS[number].kills else _ROUNDS)
    for each in rounds_of(number, FAULTS[number], ground, count=count, seed=seed, until=until, evidence=evidence):
        played.append(each)
        told = f"{number} seed {each.seed}: {each.produced} parts, {each.judged} judged"
        drops = dict(each.dropped) or "no drops"
        console.print(
            f"{told}, {drops}, {each.lost} lost, {each.duplicated} double, {each.seconds:.1f} s", highlight=False
        )
        for sentence in each.violations:
            console.print(f"  [red]{sentence}[/]")


def _tell(console: Console, rows: list[Row], *, seed: int, json: Path | None, seconds: float) -> None:
    console.print(shown(rows))
    broken = [row for row in rows if row.violations]
    rounds, parts = sum(row.rounds for row in rows), sum(row.produced for row in rows)
    lost, double = sum(row.lost for row in rows), sum(row.duplicated for row in rows)
    console.print(f"{rounds} rounds, {parts} parts, {lost} lost, {double} judged twice, {seconds:.0f} s.")
    if json is not None:
        write(json, rows, _stamp(seed), seconds)
    if broken:
        raise typer.Exit(1)


def _leave(number: int, _frame: FrameType | None) -> None:
    """End as an error would, so that every process of a line is ended, too."""
    sys.exit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _leave)
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
    typer.run(command)
