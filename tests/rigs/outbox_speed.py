"""How long each step of the outbox takes, at a given rate of parts, also on a disk whose fsync is slow.

Each part goes through its four steps as in the edge node: one thread reserves and keeps, one claims the gate, one
closes. The claim meets the next part's frame on the disk, which is the worst case. Its bias: the steps get no work from
a camera, an encoder or a network, and nothing else writes to the disk. Bytes written are the kernel's count for this
process (`write_bytes` of /proc/self/io); a memory disk has none.
"""

import itertools
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, TypeVar
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

T = TypeVar("T")

STEPS = ("reserve", "keep", "claim", "close")
CLAIM_AFTER_SECONDS = 0.3
_TENTHS = 10
_PLAIN_TIMES = 50
_DELAY = "OUTBOX_SPEED_FSYNC_US"

_SLOW_FSYNC = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>
static void delay(void) { const char *us = getenv("OUTBOX_SPEED_FSYNC_US"); if (us) usleep(atoi(us)); }
int fsync(int fd) { delay(); return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(fd); }
int fdatasync(int fd) { delay(); return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(fd); }
"""


@dataclass(frozen=True, kw_only=True)
class Speed:
    """The figures of one run.

    Attributes:
        parts_per_second: Parts that went through all steps.
        step_ms: Step -> median, 99th percentile and longest, in milliseconds.
        tenths_per_second: Parts kept per second, in each tenth of the run.
        bytes_per_part: Written to the disk.
        plain_ms: Median, 99th percentile and longest time of an append of a message and fdatasync to a plain file,
            just before: what the disk takes anyway.
    """

    size_bytes: int
    parts: int
    open_rows: int
    fsync_ms: float
    parts_per_second: float
    step_ms: dict[str, tuple[float, float, float]]
    tenths_per_second: list[float]
    bytes_per_part: float
    plain_ms: tuple[float, float, float]


class _Line:
    """The three threads of one run."""

    def __init__(self, outbox: Outbox, message: bytes, parts: int, rate: float, open_rows: int) -> None:
        self._outbox, self._message, self._parts = outbox, message, parts
        self._rate, self._open_rows = rate, open_rows
        self._rng = np.random.default_rng(0)
        self._to_claim: queue.SimpleQueue[tuple[float, Row] | None] = queue.SimpleQueue()
        self._to_close: queue.SimpleQueue[Row | None] = queue.SimpleQueue()
        self.seconds: dict[str, list[float]] = {step: [] for step in STEPS}
        self.kept_at: list[float] = []

    def run(self) -> float:
        """Let all parts through; return how long it took."""
        threads = [threading.Thread(target=work) for work in (self._capture, self._claim, self._close)]
        started = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return time.perf_counter() - started

    def _capture(self) -> None:
        started = time.perf_counter()
        for number in range(self._parts):
            if self._rate:
                time.sleep(max(0.0, started + number / self._rate - time.perf_counter()))
            arrived = time.perf_counter()
            row = self._timed("reserve", partial(self._outbox.reserve, _trigger(self._rng)))
            self._to_claim.put((arrived, row))
            self._timed("keep", partial(self._keep, row))
            self.kept_at.append(time.perf_counter() - started)
        self._to_claim.put(None)

    def _keep(self, row: Row) -> None:
        stages = {"capture": 0.0012, "resize": 0.0034, "encode": 0.0056}
        self._outbox.append(row, self._message, "frame", payload_bytes=len(self._message), stages=stages)

    def _claim(self) -> None:
        while (entry := self._to_claim.get()) is not None:
            arrived, row = entry
            if self._rate:
                time.sleep(max(0.0, arrived + CLAIM_AFTER_SECONDS - time.perf_counter()))
            self._timed("claim", partial(self._outbox.claim_gate, row.inspection_id, "reject", "deadline"))
            self._to_close.put(row)
        self._to_close.put(None)

    def _close(self) -> None:
        waiting: list[Row] = []
        while (row := self._to_close.get()) is not None:
            waiting.append(row)
            if len(waiting) > self._open_rows:
                self._close_one(waiting.pop(0))
        for row in waiting:
            self._close_one(row)

    def _close_one(self, row: Row) -> None:
        closing = Closing(outcome="normal", latency_seconds=0.4, sends=1, stages={"score": 0.012, "uplink": 0.034})
        self._timed("close", lambda: self._outbox.confirm(row.inspection_id, closing))

    def _timed(self, step: str, work: Callable[[], T]) -> T:
        started = time.perf_counter()
        result = work()
        self.seconds[step].append(time.perf_counter() - started)
        return result


def measure(folder: Path, size: int, parts: int, *, rate: float = 0.0, open_rows: int = 0) -> Speed:
    """Let parts through all steps.

    Args:
        folder: On the disk to measure.
        size: Bytes of a message.
        parts: How many.
        rate: Parts a second; 0 for as many as it takes.
        open_rows: A part is closed only when this many newer ones are open.
    """
    message = np.random.default_rng(1).bytes(size)
    plain = _plain(folder / "plain", message)
    outbox = Outbox(folder / "rig.sqlite", "rig/rig/rig", boot_id="b" * 36, clock_id="c" * 36, budget_bytes=1 << 40)
    try:
        line = _Line(outbox, message, parts, rate, open_rows)
        before = _bytes_written()
        took = line.run()
        written = _bytes_written() - before
    finally:
        outbox.close()
        for file in folder.glob("rig.sqlite*"):
            file.unlink()
    return Speed(
        size_bytes=size,
        parts=parts,
        open_rows=open_rows,
        fsync_ms=int(os.environ.get(_DELAY, "0")) / 1000,
        parts_per_second=parts / took,
        step_ms={step: _spread(seconds) for step, seconds in line.seconds.items()},
        tenths_per_second=_tenths(line.kept_at),
        bytes_per_part=written / parts,
        plain_ms=_spread(plain),
    )


def _plain(path: Path, message: bytes) -> list[float]:
    seconds = []
    with path.open("wb", buffering=0) as file:
        for _ in range(_PLAIN_TIMES):
            started = time.perf_counter()
            file.write(message)
            os.fdatasync(file.fileno())
            seconds.append(time.perf_counter() - started)
    path.unlink()
    return seconds


def _spread(seconds: list[float]) -> tuple[float, float, float]:
    middle, late, last = np.percentile([1000 * each for each in seconds or [0.0]], (50, 99, 100))
    return float(middle), float(late), float(last)


def _tenths(kept_at: list[float]) -> list[float]:
    ends = [len(kept_at) * number // _TENTHS for number in range(_TENTHS + 1)]
    times = [0.0, *kept_at]
    return [(last - first) / (times[last] - times[first] or 1.0) for first, last in itertools.pairwise(ends)]


def _bytes_written() -> int:
    for line in Path("/proc/self/io").read_text(encoding="ascii").splitlines():
        name, _, count = line.partition(": ")
        if name == "write_bytes":
            return int(count)
    return 0


def _trigger(rng: np.random.Generator) -> Trigger:
    name = str(UUID(bytes=rng.bytes(16)))
    return Trigger(inspection_id=name, part_id="part-000001", captured_at=1.0, captured_monotonic=1.0)


def table(speeds: list[Speed]) -> Table:
    """The figures for the terminal."""
    shown = Table(title="Steps of the outbox: median / 99th percentile / longest, ms", title_justify="left")
    for heading in (
        "message kB",
        "parts/s",
        "plain fdatasync",
        *STEPS,
        "kB written a part",
        "slowest / fastest tenth, parts/s",
    ):
        shown.add_column(heading, justify="right")
    for speed in speeds:
        spreads = (speed.plain_ms, *(speed.step_ms[step] for step in STEPS))
        steps = [" / ".join(f"{each:.1f}" for each in spread) for spread in spreads]
        tenths = speed.tenths_per_second
        shown.add_row(
            f"{speed.size_bytes / 1000:g}",
            f"{speed.parts_per_second:.1f}",
            *steps,
            f"{speed.bytes_per_part / 1000:.0f}",
            f"{min(tenths):.0f} / {max(tenths):.0f}",
        )
    return shown


def _with_slow_fsync(milliseconds: float) -> int:
    """Run this command again with a library in front of the C library, whose fsync waits first."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise MisconfiguredError("there is no C compiler here", remedy="leave --fsync-ms away, or install gcc")
    with tempfile.TemporaryDirectory(prefix="slow-fsync-") as place:
        source, library = Path(place) / "slow.c", Path(place) / "slow.so"
        source.write_text(_SLOW_FSYNC, encoding="ascii")
        subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
        added = {_DELAY: str(int(milliseconds * 1000)), "LD_PRELOAD": str(library)}
        command = [sys.executable, "-m", "tests.rigs.outbox_speed", *sys.argv[1:]]
        return subprocess.run(command, env={**os.environ, **added}, check=False).returncode


def command(
    *,
    json: Annotated[Path | None, typer.Option("--json", help="Also write the figures to this file.")] = None,
    folder: Annotated[Path, typer.Option("--folder", help="A folder on the disk to measure.")] = Path(),
    sizes: Annotated[list[int] | None, typer.Option("--size", min=1, help="Bytes of a message; repeatable.")] = None,
    parts: Annotated[int, typer.Option("--parts", min=1, help="How many parts.")] = 200,
    rate: Annotated[float, typer.Option("--rate", min=0, help="Parts a second; 0 for as many as it takes.")] = 10.0,
    open_rows: Annotated[int, typer.Option("--open-rows", min=0, help="Newer parts open when one is closed.")] = 0,
    fsync_ms: Annotated[float, typer.Option("--fsync-ms", min=0, help="Delay each fsync by this.")] = 0.0,
) -> None:
    r"""Measure the outbox's steps.

    [bold]Example[/bold]

        python -m tests.rigs.outbox_speed --folder /var/lib/patchline \
            --size 400000 --rate 10 --fsync-ms 20 --json outbox.json
    """
    if not folder.is_dir():
        raise MisconfiguredError("there is no such folder", where=str(folder), remedy="name one on the disk to measure")
    if fsync_ms and _DELAY not in os.environ:
        raise typer.Exit(_with_slow_fsync(fsync_ms))
    with tempfile.TemporaryDirectory(prefix="patchline-outbox-", dir=folder) as place:
        speeds = [
            measure(Path(place), size, parts, rate=rate, open_rows=open_rows)
            for size in sizes or (4_000, 60_000, 400_000)
        ]
    Console(width=160).print(table(speeds))
    if json is not None:
        content = {"rows": msgspec.to_builtins(speeds), "paper": {}, **msgspec.to_builtins(stamp(seed=1))}
        json.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")


if __name__ == "__main__":
    run(command)
