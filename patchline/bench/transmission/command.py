"""`patchline bench transmission`: every scenario examined on all test pictures, then played on a real line.

Its bias: broker, service and station share one machine, so that a service's CPU may be the station's, too; scenarios
are played one after the other, and a busy machine shows in p95. Accuracy comes from all test pictures through the
commissioned artifacts, latency from some parts through the broker.
"""

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, cast

import msgspec
import typer
from rich.console import Console

from patchline.artifacts.engines import EngineCache
from patchline.bench.stamp import stamp
from patchline.bench.transmission import paper
from patchline.bench.transmission.accuracy import EdgeMaps, Examined, examine
from patchline.bench.transmission.commissioned import Ready, make_ready, taps_at_hand
from patchline.bench.transmission.page import put
from patchline.bench.transmission.plots import draw
from patchline.bench.transmission.rows import row_of
from patchline.bench.transmission.scenarios import SCENARIOS, chosen
from patchline.bench.transmission.subject import read_subject
from patchline.bench.transmission.tables import tables
from patchline.bench.transmission.wire import Played, Terms, play, takt_for
from patchline.replay.constraints import By
from patchline.replay.phases import OnPhase, phases
from patchline.replay.rates import bytes_per_second_of
from patchline.wire.errors import MisconfiguredError

SIZE = (224, 224)
LOG_WIDTH = 180
CONSTRAINED = ("auto", "kernel", "program")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a whole run found.

    Attributes:
        rows: One a scenario.
        configuration: What all scenarios had in common.
        broker: Name and version; empty where nothing was played.
        notes: What a reader must know, one sentence each.
    """

    rows: list[dict[str, Any]]
    configuration: dict[str, Any]
    broker: str
    notes: list[str]


def measure(names: Sequence[str], terms: Terms, work: Path, *, on_phase: OnPhase) -> Outcome:
    """Commission, examine and play scenarios.

    Args:
        names: Of the table; all when empty.
        terms: Under which they are played; with no parts nothing is.
        work: A folder for everything made on the way.
        on_phase: Told of the progress.

    Raises:
        MisconfiguredError: A scenario does not exist, weights are missing, or the category has nothing to tell apart.
        UnavailableError: A program of a line died.
    """
    scenarios, note = taps_at_hand(chosen(names))
    subject, room = read_subject(terms.data, SIZE, on_phase=on_phase), EngineCache(threads=1)
    ready = make_ready(scenarios, terms.data, work / "artifacts", room, seed=terms.seed, on_phase=on_phase)
    edge, examined = EdgeMaps(subject, room), dict[str, Examined]()
    for done, (name, each) in enumerate(ready.items()):
        on_phase("scenarios examined", done, len(ready))
        progress = partial(on_phase, f"{name}: examine")
        examined[name] = examine(each, subject, edge, seed=terms.seed, on_progress=progress)
    on_phase("scenarios examined", len(ready), len(ready))
    played = _play_all(ready, examined, terms, work / "lines", on_phase)
    first = next(iter(played.values()), None)
    uplink = terms.uplink_bytes_per_second
    return Outcome(
        rows=[row_of(each, subject.category, examined, played, uplink=uplink) for each in ready.values()],
        configuration={
            "category": subject.category,
            "input_size": list(SIZE),
            "train_pictures": next(iter(ready.values())).images,
            "test_pictures": len(subject.test),
            "threads": 1,
            "most_parts": terms.parts,
            **(dict(first.constraints) if first else {}),
        },
        broker=first.broker if first else "",
        notes=[note] if note else [],
    )


def _play_all(
    ready: Mapping[str, Ready], examined: Mapping[str, Examined], terms: Terms, folder: Path, on_phase: OnPhase
) -> dict[str, Played]:
    wanted = {name: each for name, each in ready.items() if each.scenario.live} if terms.parts else {}
    played: dict[str, Played] = {}
    for done, (name, each) in enumerate(wanted.items()):
        on_phase("scenarios played", done, len(wanted))
        found = examined[name]
        takt, parts = takt_for(float(found.payload_bytes.mean()), found.edge_seconds, found.alone_seconds, terms)
        played[name] = play(each.scenario.codec, each.folder, folder / name, terms, takt_seconds=takt, parts=parts)
    on_phase("scenarios played", len(wanted), len(wanted))
    return played


def command(
    *,
    data: Annotated[
        Path, typer.Option("--data", help="A category's folder in MVTec's layout, with test/.", show_default=False)
    ],
    scenario: Annotated[
        list[str] | None, typer.Option("--scenario", help=f"Repeat it; all by default: {', '.join(SCENARIOS)}.")
    ] = None,
    uplink: Annotated[str, typer.Option("--uplink", help="From the station to the broker.")] = "100kB/s",
    edge_slowdown: Annotated[float, typer.Option("--edge-slowdown", min=1, help="How many times slower it is.")] = 3.0,
    constrained_by: Annotated[
        str, typer.Option("--constrained-by", help=f"Who holds it back: {', '.join(CONSTRAINED)}.")
    ] = "auto",
    parts: Annotated[
        int, typer.Option("--parts", min=0, help="Most parts played a scenario; with 0 nothing is played.")
    ] = 40,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write the figures to this file.")] = None,
    plots: Annotated[Path | None, typer.Option("--plots", help="Draw them into this folder (bench extra).")] = None,
    page: Annotated[
        Path | None,
        typer.Option("--page", help="Put the tables into this Markdown page, between the category's marks."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the codecs, the parts' order and the resamples.")] = 0,
) -> None:
    r"""Measure what each way of sending a part finds and costs: the compression paper's tables for a category.

    Every scenario is commissioned, examined on all test pictures, and played through a real broker over a thin line.

    [bold]Examples[/bold]

        patchline bench transmission --data pictures/bottle \
            --json transmission.json --plots plots

        patchline bench transmission --data pictures/bottle \
            --scenario webp-80-fast --scenario residual-4000
    """
    if constrained_by not in CONSTRAINED:
        raise MisconfiguredError(
            f"{constrained_by!r} can hold no station back",
            where="--constrained-by",
            remedy=f"use {', '.join(CONSTRAINED)}",
        )
    terms = Terms(
        data=data,
        uplink_bytes_per_second=bytes_per_second_of(uplink),
        edge_slowdown=edge_slowdown,
        constrained_by=cast("By", constrained_by),
        parts=parts,
        seed=seed,
    )
    outcome = _measured(tuple(scenario or ()), terms)
    console = Console()
    _tell(outcome, console if console.is_terminal else Console(width=LOG_WIDTH))
    if json_file is not None:
        json_file.write_bytes(_as_json(outcome, seed))
    if page is not None:
        put(page, outcome.configuration["category"], outcome.rows, _stamped(outcome, seed))
    if plots is not None:
        title = f"{outcome.configuration['category']} · {uplink}, edge {edge_slowdown:g} times slower"
        for path in draw(outcome.rows, plots, title=title):
            console.print(str(path), highlight=False)


def _measured(scenarios: tuple[str, ...], terms: Terms) -> Outcome:
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="patchline-transmission-")))
        news = Console(stderr=True)
        on_phase = stack.enter_context(phases(news)) if news.is_terminal else _Milestones(news)
        return measure(scenarios, terms, work, on_phase=on_phase)


class _Milestones:
    """Progress where nothing can be drawn over, such as in a log: a line a phase."""

    def __init__(self, console: Console) -> None:
        self._console, self._told = console, set[tuple[str, int]]()

    def __call__(self, phase: str, done: int, total: int) -> None:
        """Say what is done: of scenarios each one, of anything else the end."""
        if (done == total or phase.startswith("scenarios")) and (phase, done) not in self._told:
            self._told.add((phase, done))
            self._console.print(f"{phase}: {done} of {total}", highlight=False)


def _tell(outcome: Outcome, console: Console) -> None:
    for name, value in outcome.configuration.items():
        console.print(f"{name}: {value}", highlight=False)
    for table in tables(outcome.rows):
        console.print(table)
    faults = [f"{row['scenario']}: {fault}" for row in outcome.rows for fault in row.get("faults", ())]
    for sentence in [*outcome.notes, *faults]:
        console.print(sentence, style="yellow", highlight=False)


def _stamped(outcome: Outcome, seed: int) -> str:
    """One line below a page's tables: what they were measured on."""
    made = stamp(seed=seed, broker=outcome.broker or None)
    constraints = [str(value) for key, value in outcome.configuration.items() if key.endswith("_by")]
    machine = f"{made.machine['processor']}, {made.machine['cores']} cores"
    return f"Measured at {made.commit} on {machine}; {'; '.join([made.versions.get('broker', ''), *constraints])}."


def _as_json(outcome: Outcome, seed: int) -> bytes:
    stamped = msgspec.to_builtins(stamp(seed=seed, broker=outcome.broker or None))
    content = {
        "rows": outcome.rows,
        "paper": {"figures": paper.PAPER, "where": paper.WHERE},
        "configuration": outcome.configuration,
        "notes": outcome.notes,
        **stamped,
    }
    return msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n"
