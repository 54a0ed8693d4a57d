"""How many pictures a second the outbox keeps, beside what the disk allows: one append and one fdatasync a message.

Its bias: nothing else writes to the disk. Outbox and raw file take turns within a run, so that both meet the same disk;
the share is taken from the rates of all turns together. Rows are reserved before the clock runs, for a part's number is
written at its trigger, while nothing waits for the picture; `life` counts a part's whole stay, its number included.
"""

import itertools
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from uuid import UUID

import msgspec
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from edge_node.outbox.outbox import Outbox
from edge_node.outbox.rows import Closing, Row, Trigger
from patchline.bench.stamp import stamp
from patchline.bench.standalone import run
from patchline.wire.errors import MisconfiguredError

SIZES = (2_000, 60_000, 400_000)
WRITERS = (1, 4)
_BUDGET_BYTES = 1 << 40
_RESERVED = 512
"""Rows reserved in advance for each turn of a writer; a turn that uses them up ends early."""

Turn = Callable[[], bool]


@dataclass(frozen=True, kw_only=True)
class Rate:
    """What one size and one number of writers came to.

    Attributes:
        raw_per_second: Messages a lone writer appended to a plain file, with one fdatasync each.
        appends_per_second: Frames kept by the outbox.
        lives_per_second: Parts reserved, kept, read and confirmed.
        share: `appends_per_second` over `raw_per_second`.
    """

    size_bytes: int
    writers: int
    raw_per_second: float
    appends_per_second: float
    lives_per_second: float
    share: float


def measure(folder: Path, size: int, writers: int, *, seconds: float, rounds: int, seed: int) -> Rate:
    """Let raw file, appends and whole lives take turns.

    Args:
        folder: On the disk to measure.
        size: Bytes of a message.
        writers: Threads that use the outbox at the same time.
        seconds: How long each turn takes.
        rounds: How often each has its turn.
        seed: Of the messages' bytes.
    """
    rng = np.random.default_rng(seed)
    message = rng.bytes(size)
    spent: dict[str, list[tuple[int, float]]] = {"raw": [], "append": [], "life": []}
    for _ in range(rounds):
        spent["raw"].append(_raw(folder, message, seconds))
        with _outbox(folder) as outbox:
            spent["append"].append(_appends(outbox, message, writers, seconds, rng))
        with _outbox(folder) as outbox:
            spent["life"].append(_lives(outbox, message, writers, seconds, rng))
    raw, append, life = (sum(n for n, _ in turns) / sum(t for _, t in turns) for turns in spent.values())
    return Rate(
        size_bytes=size,
        writers=writers,
        raw_per_second=raw,
        appends_per_second=append,
        lives_per_second=life,
        share=append / raw,
    )


@contextmanager
def _outbox(folder: Path) -> Iterator[Outbox]:
    path = folder / "bench.sqlite"
    outbox = Outbox(path, "bench/bench/bench", boot_id="bench", clock_id="bench", budget_bytes=_BUDGET_BYTES)
    try:
        yield outbox
    finally:
        outbox.close()
        for file in folder.glob("bench.sqlite*"):
            file.unlink()


def _raw(folder: Path, message: bytes, seconds: float) -> tuple[int, float]:
    path = folder / "raw"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def turn() -> bool:
        os.write(descriptor, message)
        os.fdatasync(descriptor)
        return True

    try:
        return _timed([turn], seconds)
    finally:
        os.close(descriptor)
        path.unlink()


def _appends(
    outbox: Outbox, message: bytes, writers: int, seconds: float, rng: np.random.Generator
) -> tuple[int, float]:
    def writer() -> Turn:
        rows = iter([outbox.reserve(_trigger(rng)) for _ in range(_RESERVED)])

        def turn() -> bool:
            row = next(rows, None)
            if row is not None:
                outbox.append(row, message, "frame", payload_bytes=len(message), stages={"encode": 0.001})
            return row is not None

        return turn

    return _timed([writer() for _ in range(writers)], seconds)


def _lives(outbox: Outbox, message: bytes, writers: int, seconds: float, rng: np.random.Generator) -> tuple[int, float]:
    triggers = [_trigger(rng) for _ in range(_RESERVED * writers)]
    counter = itertools.count()

    def turn() -> bool:
        number = next(counter)
        if number < len(triggers):
            _live(outbox, outbox.reserve(triggers[number]), message)
        return number < len(triggers)

    return _timed([turn] * writers, seconds)


def _live(outbox: Outbox, row: Row, message: bytes) -> None:
    outbox.append(row, message, "frame", payload_bytes=len(message), stages={"encode": 0.001})
    outbox.message(row.sequence)
    outbox.confirm(row.inspection_id, Closing(outcome="normal"))


def _trigger(rng: np.random.Generator) -> Trigger:
    name = str(UUID(bytes=rng.bytes(16)))
    return Trigger(inspection_id=name, part_id="part", captured_at=0.0, captured_monotonic=0.0)


def _timed(turns: list[Turn], seconds: float) -> tuple[int, float]:
    """Repeat each turn in a thread of its own until the time is over or it has no more; how often all, and how long."""
    counts = [0] * len(turns)
    barrier = threading.Barrier(len(turns) + 1)

    def work(index: int) -> None:
        barrier.wait()
        deadline = time.perf_counter() + seconds
        while time.perf_counter() < deadline and turns[index]():
            counts[index] += 1

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(turns))]
    for thread in threads:
        thread.start()
    barrier.wait()
    started = time.perf_counter()
    for thread in threads:
        thread.join()
    return sum(counts), time.perf_counter() - started


def table(rates: list[Rate]) -> Table:
    """The figures for the terminal."""
    shown = Table(title="The outbox beside append + fdatasync", title_justify="left")
    for heading in ("message kB", "writers", "raw/s", "outbox appends/s", "share of raw", "whole lives/s"):
        shown.add_column(heading, justify="right")
    for rate in rates:
        shown.add_row(
            f"{rate.size_bytes / 1000:g}",
            str(rate.writers),
            f"{rate.raw_per_second:.0f}",
            f"{rate.appends_per_second:.0f}",
            f"{rate.share:.2f}",
            f"{rate.lives_per_second:.0f}",
        )
    return shown


def command(
    *,
    json: Annotated[Path | None, typer.Option("--json", help="Also write the figures to this file.")] = None,
    folder: Annotated[Path, typer.Option("--folder", help="A folder on the disk to measure.")] = Path(),
    sizes: Annotated[list[int] | None, typer.Option("--size", min=1, help="Bytes of a message; repeatable.")] = None,
    writers: Annotated[list[int] | None, typer.Option("--writers", min=1, help="Threads at once; repeatable.")] = None,
    seconds: Annotated[float, typer.Option("--seconds", min=0.01, help="How long each turn takes.")] = 1.0,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="How often each has its turn.")] = 5,
    seed: Annotated[int, typer.Option("--seed", help="Of the messages' bytes.")] = 0,
) -> None:
    r"""Measure how fast the outbox keeps pictures, beside a raw append + fdatasync on the same disk.

    [bold]Example[/bold]

        python -m tests.rigs.outbox_speed --folder /var/lib/patchline \
            --json outbox.json
    """
    rates = []
    if not folder.is_dir():
        raise MisconfiguredError("there is no such folder", where=str(folder), remedy="name one on the disk to measure")
    with tempfile.TemporaryDirectory(prefix="patchline-outbox-", dir=folder) as place, Console(stderr=True).status(""):
        for size, threads in itertools.product(sizes or SIZES, writers or WRITERS):
            rates.append(measure(Path(place), size, threads, seconds=seconds, rounds=rounds, seed=seed))
    Console().print(table(rates))
    if json is not None:
        content = {"rows": msgspec.to_builtins(rates), "paper": {}, **msgspec.to_builtins(stamp(seed=seed))}
        json.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")


if __name__ == "__main__":
    run(command)
