"""What a person sees on the terminal while the line runs."""

import io
from typing import Any

from rich.console import Console

from patchline.replay.display import StationView, View, draw
from patchline.replay.watcher import Tally


def shown(view: Any) -> Any:
    terminal = io.StringIO()
    console = Console(file=terminal, width=120)
    console.print(draw(view))
    return terminal.getvalue()


def station(**changes: Any) -> Any:
    tally = Tally(judged=8, outcomes={"normal": 6, "anomalous": 2})
    return StationView(**{"planned": 20, "produced": 9, "waiting": 1, "tally": tally, "p95_seconds": 0.123, **changes})


def test_a_station_shows_its_counts_its_rate_and_its_latency() -> None:
    text = shown(View(seconds=12.3, stations={"demo/washer/one": station()}, last=[], news=[]))
    row = next(line for line in text.splitlines() if "demo/washer/one" in line)
    for figure in ("9 of 20", "8", "6", "2", "25%", "123 ms", "1"):
        assert figure in row


def test_a_station_that_has_done_nothing_yet_shows_no_rate() -> None:
    text = shown(View(seconds=0, stations={"a/b/c": station(tally=Tally(), p95_seconds=None)}, last=[], news=[]))
    assert "%" not in text


def test_the_latest_verdicts_and_the_news_are_below(entries: Any, verdict_on: Any) -> None:
    verdicts = [verdict_on(entries[0], score=3.0), verdict_on(entries[1], outcome="unreadable")]
    text = shown(View(seconds=1, stations={"a/b/c": station()}, last=verdicts, news=["broker killed at 3 s"]))
    assert "part-0" in text
    assert "3.000" in text
    assert "unreadable" in text
    assert "broker killed at 3 s" in text
