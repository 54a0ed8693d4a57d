"""The transmission benchmark: its scenarios, how it reads a station's journal, and a small one from end to end."""

import io
import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner

from edge_node.outbox.journal import JournalLine
from patchline.bench.transmission import paper, scenarios, tables
from patchline.bench.transmission.page import put
from patchline.bench.transmission.plots import draw, front, parts_of
from patchline.bench.transmission.wire import FEWEST_PARTS, Terms, packet_bytes, seconds_of, takt_for
from patchline.cli.bench import app
from patchline.pictures.products import PRODUCTS
from patchline.pictures.products.category import write_category
from patchline.vision.backbones import BACKBONES
from patchline.vision.codecs.lookup import codec_of, feature_codec_class
from patchline.vision.detectors import DETECTORS
from patchline.wire.errors import MisconfiguredError
from patchline.wire.topics import Station

STAGES = {
    "capture": 0.01, "resize": 0.02, "backbone": 0.03, "encode": 0.01, "keep": 0.01,
    "queue": 0.01, "decode": 0.01, "embed": 0.01, "search": 0.05, "render": 0.02,
    "server": 0.1, "transmission": 0.2,
}  # fmt: skip


def line(sequence: int = 1, **stages: float) -> JournalLine:
    return JournalLine(
        sequence=sequence,
        inspection_id=f"00000000-0000-4000-8000-{sequence:012}",
        part_id=f"part-{sequence}",
        boot_id="boot",
        captured_at=0.0,
        outcome="uncalibrated",
        latency_seconds=0.38,
        payload_bytes=1000,
        wire_bytes=1500,
        sends=1,
        stages=STAGES | stages,
    )


def row(name: str = "webp-80-fast", **facts: Any) -> dict[str, Any]:
    spread = {"mean": 0.1, "p50": 0.1, "p95": 0.2, "p99": 0.3}
    figures = ("edge", "encode", "backbone", "transmission", "server", "decode", "search", "map", "total")
    return {
        "scenario": name, "codec": "webp:80", "backbone_at": "service", "reference": "original-fast",
        "image_auroc": 0.98, "pixel_f1": 0.6, "pixel_auroc": 0.97, "aupro": 0.9,
        "losses": {"image_auroc": {"value": 0.01, "interval": (-0.01, 0.02)}},
        "payload_bytes": {"mean": 2000.0, "p95": 2500.0}, "wire_bytes": {"mean": 2700.0, "p95": 3200.0},
        **{f"{figure}_seconds": spread for figure in figures},
        "change": -0.8, "parts": 12, "faults": [], "paper": paper.of_column("WebP"), **facts,
    }  # fmt: skip


@pytest.mark.parametrize("name", scenarios.SCENARIOS)
def test_every_scenario_can_be_made_and_is_held_against_one_of_its_kind(name: str) -> None:
    scenario = scenarios.SCENARIOS[name]
    if scenario.at_edge:
        feature_codec_class(scenario.codec)
    else:
        codec_of(scenario.codec)
    BACKBONES[scenario.backbone].ordered(scenario.taps)
    assert scenario.detector in DETECTORS
    reference = scenarios.SCENARIOS[scenario.reference]
    assert reference.group == scenario.group
    assert reference.reference == scenario.reference
    assert scenario.paper in {"", *paper.PAPER}


def test_all_columns_of_the_paper_have_a_scenario() -> None:
    assert {scenario.paper for scenario in scenarios.SCENARIOS.values()} >= set(paper.PAPER)
    assert {figure for column in paper.PAPER.values() for figure in column} <= set(paper.WHERE)


def test_the_papers_changes_follow_from_its_totals() -> None:
    for column, figures in paper.PAPER.items():
        told = figures["total_seconds"] / paper.PAPER["Original"]["total_seconds"] - 1
        assert told == pytest.approx(figures["change"], abs=0.011), column


def test_scenarios_asked_for_bring_what_they_are_held_against() -> None:
    assert list(scenarios.chosen(["residual-4000"])) == ["features", "residual-4000"]
    assert list(scenarios.chosen([])) == list(scenarios.SCENARIOS)
    with pytest.raises(MisconfiguredError, match=r"pigeon.*--scenario"):
        scenarios.chosen(["pigeon"])


def test_a_journal_becomes_steps_of_edge_line_and_service() -> None:
    found = seconds_of([line(1), line(2, backbone=0.05)])
    assert found["edge_seconds"].mean == pytest.approx(0.09)
    assert found["backbone_seconds"].p50 == pytest.approx(0.04)
    assert found["transmission_seconds"].p95 == pytest.approx(0.2)
    assert found["map_seconds"].p50 == pytest.approx(0.02)
    assert found["total_seconds"].p50 == pytest.approx(0.38)


def test_a_service_that_runs_the_backbone_is_told_as_such() -> None:
    without = {name: seconds for name, seconds in STAGES.items() if name != "backbone"}
    pictures = JournalLine(**{**{f: getattr(line(), f) for f in JournalLine.__struct_fields__}, "stages": without})
    assert seconds_of([pictures])["backbone_seconds"].p50 == pytest.approx(0.01)


def test_a_packet_weighs_more_than_its_message_by_topic_and_properties() -> None:
    station = Station("site", "line", "station")
    assert 150 < packet_bytes(line(), station) - 1500 < 260


@given(st.floats(1, 4e5), st.floats(0, 0.1), st.floats(0, 1))
def test_no_part_waits_for_the_one_before_it(payload: float, edge: float, service: float) -> None:
    terms = Terms(
        data=Path(), uplink_bytes_per_second=1e5, edge_slowdown=3.0, constrained_by="program", parts=40, seed=0
    )
    takt, parts = takt_for(payload, edge, service, terms)
    assert takt > payload / 1e5 + 3 * edge + service
    assert FEWEST_PARTS <= parts <= 40


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1))
def test_nothing_beats_what_is_on_the_front(points: list[tuple[int, int]]) -> None:
    best = front([(float(cost), float(gain)) for cost, gain in points])
    assert all(any(c <= cost and g >= gain for c, g in best) for cost, gain in points)
    assert all(first[0] < second[0] and first[1] < second[1] for first, second in itertools.pairwise(best))


def test_the_parts_of_a_bar_add_up_to_the_total() -> None:
    for at in ("edge", "service"):
        means = {name: {"mean": 0.1} for name in ("backbone", "search", "map", "transmission")}
        facts: dict[str, Any] = {f"{name}_seconds": value for name, value in means.items()}
        shown = row(**facts, backbone_at=at, edge_seconds={"mean": 0.3}, server_seconds={"mean": 0.5})
        assert sum(parts_of(shown).values()) == pytest.approx(0.3 + 0.5 + 0.1)


def test_the_tables_show_ours_with_the_papers_in_brackets() -> None:
    console = Console(width=180, file=io.StringIO(), record=True)
    for table in tables.tables([row(), row("original-fast", codec="png", paper=paper.of_column("Original"))]):
        console.print(table)
    text = console.export_text()
    assert "0.9800 (0.982)" in text
    assert "+0.0100 [-0.0100 +0.0200]" in text
    assert "-80% (-80%)" in text


def test_the_plots_are_pictures(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the bench extra is not installed")
    shown = [row(), row("webp-20-fast", codec="webp:20"), row("features", codec="features", backbone_at="edge")]
    files = draw(shown, tmp_path / "plots", title="drawn")
    assert [file.name for file in files] == ["accuracy.png", "latency.png", "webp-quality.png"]
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in files)


@pytest.mark.broker
@pytest.mark.slow
@pytest.mark.skipif(shutil.which("mosquitto") is None, reason="Mosquitto is not installed")
def test_two_scenarios_on_a_real_line(tmp_path: Path) -> None:
    write_category(PRODUCTS["washer"], tmp_path / "washer", train=8, test_good=3, test_per_defect=1, size=(96, 96))
    arguments = ["transmission", "--data", str(tmp_path / "washer"), "--scenario", "webp-80-fast", "--parts", "4"]
    options = ["--constrained-by", "program", "--json", str(tmp_path / "figures.json")]
    done = CliRunner().invoke(app, [*arguments, *options])
    assert done.exit_code == 0, done.output
    document = json.loads((tmp_path / "figures.json").read_text())
    original, webp = document["rows"]
    assert (original["scenario"], webp["scenario"]) == ("original-fast", "webp-80-fast")
    assert original["parts"] == webp["parts"] == 4
    assert original["faults"] == webp["faults"] == []
    assert webp["wire_bytes"]["mean"] > webp["payload_bytes"]["mean"] + 300
    assert webp["wire_bytes"]["mean"] < original["wire_bytes"]["mean"]
    assert original["change"] == 0.0
    assert original["transmission_seconds"]["p50"] > 0.5 * original["wire_bytes"]["mean"] / 1e5
    assert document["configuration"]["uplink_shaped_by"].startswith("a token bucket in a proxy")
    assert document["versions"]["broker"].startswith("mosquitto") or "osquitto" in document["versions"]["broker"]


def test_a_page_gets_its_tables_between_the_marks_of_its_category(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- transmission bottle -->\nold\n<!-- end bottle -->\nafter\n")
    put(page, "bottle", [row()], "Measured here.")
    once = page.read_text()
    put(page, "bottle", [row()], "Measured here.")
    assert page.read_text() == once
    assert "old" not in once
    assert "| webp-80-fast | `webp:80` | 0.9800 (0.982) | +0.0100 [-0.0100 +0.0200] |" in once
    assert once.startswith("before\n")
    assert once.endswith("<!-- end bottle -->\nafter\n")
    with pytest.raises(MisconfiguredError, match="has no marks"):
        put(page, "pigeon", [row()], "")
    with pytest.raises(MisconfiguredError, match="cannot be read"):
        put(tmp_path / "nowhere.md", "bottle", [row()], "")
