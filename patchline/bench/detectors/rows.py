"""Every row of the benchmark, one process after the other, backbone by backbone."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from patchline.bench.detectors.contenders import YARDSTICK, Contender
from patchline.bench.detectors.embeddings import embed, engine_of
from patchline.bench.detectors.papers import published
from patchline.bench.detectors.row import Job
from patchline.pictures.files import read_category
from patchline.replay.phases import OnPhase
from patchline.vision.backbones import BACKBONES
from patchline.vision.pixels.arrays import Size
from patchline.wire.errors import MisconfiguredError, UnavailableError


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is measured.

    Attributes:
        contenders: By the names of their rows.
        backbones: Names, each with the taps taken of it; none takes its default ones.
        threads: CPU threads of the backbone and of faiss; numpy has one.
        runs: How many single pictures are timed a row.
    """

    data: Path
    contenders: Mapping[str, Contender]
    backbones: Mapping[str, Sequence[str]]
    size: Size
    threads: int
    seed: int
    runs: int


def measure_all(plan: Plan, on_phase: OnPhase) -> Iterator[list[dict[str, Any]]]:
    """The rows of each backbone, as soon as they are there.

    Raises:
        MisconfiguredError: The category has no test pictures, or a backbone's weights are nowhere.
        UnavailableError: A row's process died, for want of memory for instance.
    """
    category = read_category(plan.data)
    if not category.test:
        raise MisconfiguredError(
            "there are no test pictures to judge by", where=str(plan.data), remedy="give a folder in MVTec's layout"
        )
    for backbone, asked in plan.backbones.items():
        taps = BACKBONES[backbone].ordered(list(asked))
        with tempfile.TemporaryDirectory(prefix="patchline-detectors-") as name:
            maps = Path(name) / "maps"
            engine = engine_of(backbone, taps, plan.threads)
            seconds = embed(engine, category, plan.size, maps, partial(on_phase, f"{backbone}: embed"))
            rows = []
            for contender in plan.contenders:
                job = _job(plan, contender, backbone, taps, maps)
                told = _in_a_process(job, Path(name), partial(_tell, on_phase, f"{backbone}, {contender}"))
                rows.append(_head(plan, contender, category.name, job) | _tail(told, seconds))
        yield beside_the_yardstick(rows)


def beside_the_yardstick(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of one backbone, each with how many times brute force's rate it has, where that was measured."""
    rates = {row["contender"]: row.get("images_per_second") for row in rows}
    yardstick = rates.get(YARDSTICK)
    if yardstick is None:
        return rows
    return [
        row | {"times_brute_force": row["images_per_second"] / yardstick} if "refused" not in row else row
        for row in rows
    ]


def _job(plan: Plan, name: str, backbone: str, taps: tuple[str, ...], maps: Path) -> Job:
    contender = plan.contenders[name]
    return Job(
        data=str(plan.data.resolve()),
        maps=str(maps),
        backbone=backbone,
        taps=taps,
        detector=contender.detector,
        parameters=contender.parameters,
        brute_force=contender.brute_force,
        size=plan.size,
        threads=plan.threads,
        seed=plan.seed,
        runs=plan.runs,
    )


def _head(plan: Plan, name: str, category: str, job: Job) -> dict[str, Any]:
    """What a row is of."""
    return {
        "category": category,
        "backbone": job.backbone,
        "taps": list(job.taps),
        "detector": job.detector,
        "contender": name,
        "search": "brute-force" if job.brute_force else "exact",
        "input_size": list(job.size),
        "threads": job.threads,
        "paper": published(plan.contenders[name].paper, category),
    }


def _tail(told: dict[str, Any], embed_seconds: float) -> dict[str, Any]:
    """The result of a row's process, and the commissioning time that follows."""
    if "fit_seconds" not in told:
        return told
    return {**told, "commission_seconds": embed_seconds + told["fit_seconds"]}


def _tell(on_phase: OnPhase, row: str, phase: str, done: int, total: int) -> None:
    on_phase(f"{row}: {phase}", done, total)


def _in_a_process(job: Job, folder: Path, on_phase: OnPhase) -> dict[str, Any]:
    asked, answer, words = folder / "job.json", folder / "row.json", folder / "stderr.txt"
    asked.write_bytes(msgspec.json.encode(job))
    command = [sys.executable, "-m", "patchline.bench.detectors.row", str(asked), str(answer)]
    bounded = {**os.environ, "OMP_NUM_THREADS": str(job.threads), "OPENBLAS_NUM_THREADS": "1"}
    with words.open("wb") as stderr:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, env=bounded)  # noqa: S603 - ourselves
        with process:
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    phase, done, total = msgspec.json.decode(line)
                    on_phase(phase, done, total)
            except BaseException:
                process.kill()
                raise
    if process.returncode:
        said = words.read_text(errors="replace").strip().splitlines()
        raise UnavailableError(
            f"the process that measured {job.detector} on {job.backbone} ended with {process.returncode}: "
            f"{said[-1] if said else 'without a word'}"
        )
    told: dict[str, Any] = msgspec.json.decode(answer.read_bytes())
    return told
