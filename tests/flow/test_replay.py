"""A real line of real processes: every part gets its one verdict, also when programs are killed under it."""

import json
from pathlib import Path
from typing import Any

import pytest

from patchline.replay import cpu_share, namespaces
from patchline.runtime import signing

SHARED_KEYS = {
    "produced",
    "judged",
    "dropped",
    "duplicates",
    "image_auroc",
    "pixel_auroc",
    "pixel_f1",
    "aupro",
    "parts_per_second",
    "payload_bytes",
    "latency_seconds",
    "machine",
    "versions",
    "commit",
    "seed",
}

pytestmark = [pytest.mark.broker, pytest.mark.slow]


def replay(patchline: Any, category: Any, *arguments: Any, **named: Any) -> Any:
    return patchline("replay", "--data", str(category), "--input-size", "128x128", *arguments, **named)


def test_every_part_gets_its_one_verdict_and_the_report_says_so(patchline: Any, category: Any) -> None:
    done = replay(patchline, category, "--stations", "2", "--takt", "0.2", "--seed", "3")
    assert done.code == 0, done.output
    report = done.report
    truth = [json.loads(line) for line in (done.directory / "truth.jsonl").read_text().splitlines()]
    assert report.keys() >= SHARED_KEYS
    assert report["produced"] == report["judged"] == len(truth) == sum(report["outcomes"].values())
    assert report["dropped"] == {}
    assert report["maps"] == report["judged"]
    assert 0 <= report["image_auroc"] <= 1
    assert 0 <= report["pixel_f1"] <= 1
    assert report["latency_seconds"]["p95"] >= report["latency_seconds"]["p50"] > 0
    assert report["payload_bytes"]["mean"] > 100
    assert report["seed"] == 3
    page = (done.directory / "report.html").read_text()
    assert f"{len(truth)} parts produced, {len(truth)} judged, 0 lost." in page
    assert "report.html" in done.output


def test_no_label_and_no_mask_reaches_a_station_or_the_wire(patchline: Any, category: Any) -> None:
    done = replay(patchline, category, "--stations", "1", "--takt", "0.1", "--limit", "4")
    assert done.code == 0, done.output
    plan = next(done.directory.rglob("plan.jsonl"))
    assert all(json.loads(line).keys() == {"path", "part_id"} for line in plan.read_text().splitlines())
    # What a station sends is its outbox's messages, then closed; what remains is the write-ahead log of both.
    sent = b"".join(path.read_bytes() for path in done.directory.rglob("outbox.sqlite*"))
    assert b"washer/test" not in sent
    assert b"_mask" not in sent


def test_the_same_seed_gives_the_same_verdicts(patchline: Any, category: Any) -> None:
    first = replay(patchline, category, "--stations", "2", "--takt", "0.1", report="first")
    assert first.code == 0, first.output
    artifacts = str(first.directory / "artifacts")
    second = replay(patchline, category, "--stations", "3", "--takt", "0.1", "--artifact", artifacts, report="second")
    assert second.code == 0, second.output
    assert second.report["outcomes"] == first.report["outcomes"]
    for figure in ("image_auroc", "pixel_auroc", "pixel_f1", "aupro"):
        assert second.report[figure] == pytest.approx(first.report[figure], rel=1e-3)


def test_a_signed_line_runs_with_a_key_of_its_own_or_the_sites_and_takes_nothing_else(
    patchline: Any, category: Any, tmp_path: Path
) -> None:
    """With a throwaway key; then with a site's, which did not sign what the throwaway one did."""
    arguments = ("--stations", "2", "--takt", "0.1", "--limit", "4")
    first = replay(patchline, category, *arguments, "--signed", report="first")
    assert first.code == 0, first.output
    assert first.report["judged"] == first.report["produced"] == 4
    assert first.report["configuration"]["signed"]
    programs = [*first.directory.rglob("edge.toml"), *first.directory.rglob("analytics.toml")]
    assert len(programs) == 3
    assert all("verify_key" in path.read_text() for path in programs)
    assert not list(first.directory.rglob("*signing.key"))

    key = tmp_path / "signing.key"
    key.write_bytes(signing.generate()[0])
    made_before = ("--artifact", str(first.directory / "artifacts"), "--signing-key", str(key))
    refused = replay(patchline, category, *arguments, *made_before, report="refused")
    assert refused.code == 2
    assert "is not signed by the owner" in " ".join(refused.output.split())


@pytest.mark.parametrize("victims", [["analytics@1.5"], ["broker@1.5"], ["analytics@1", "broker@2"]], ids=" ".join)
def test_killed_programs_cost_no_part(patchline: Any, category: Any, victims: Any) -> None:
    kills = [argument for victim in victims for argument in ("--kill", victim)]
    done = replay(patchline, category, "--stations", "2", "--takt", "0.3", "--limit", "24", *kills)
    assert done.code == 0, done.output
    assert done.report["judged"] == done.report["produced"] == 24
    assert done.report["faults"] == []
    assert len(done.report["configuration"]["kills"]) == len(victims)


def test_a_part_whose_picture_is_damaged_is_a_stated_drop_and_not_a_success(
    patchline: Any, category: Any, tmp_path: Path
) -> None:
    copy = tmp_path / "damaged"
    for path in category.rglob("*.png"):
        target = copy / path.relative_to(category)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    victim = min((copy / "test" / "good").iterdir())
    victim.write_bytes(b"not a picture")
    done = replay(patchline, copy, "--stations", "1", "--takt", "0.1")
    assert done.code == 1, done.output
    assert done.report["dropped"] == {"capture_failed": 1}
    assert done.report["judged"] == done.report["produced"] - 1
    assert "capture_failed" in " ".join(done.report["faults"])


def test_the_demonstration_proves_itself(patchline: Any) -> None:
    done = patchline("demo", "--seconds", "4", "--seed", "2")
    assert done.code == 0, done.output
    assert done.report["judged"] == done.report["produced"] > 0
    assert len(done.report["stations"]) == 2
    assert "drawn" in (done.directory / "report.html").read_text()
    assert Path(done.directory / "artifacts").is_dir()


def test_stations_may_send_feature_maps_instead_of_pictures(patchline: Any, category: Any) -> None:
    """The packaged backbone runs at the edge; the report shows where the time went on both sides."""
    done = replay(patchline, category, "--stations", "2", "--takt", "0.1", "--codec", "features", "--limit", "8")
    assert done.code == 0, done.output
    report = done.report
    assert report["produced"] == report["judged"] > 0
    assert report["configuration"]["codec"] == "features"
    assert {name for name, times in report["stage_seconds"].items() if times["place"] == "edge"} >= {
        "resize",
        "backbone",
        "encode",
    }
    assert {name for name, times in report["stage_seconds"].items() if times["place"] == "service"} >= {
        "decode",
        "embed",
        "search",
        "render",
    }
    assert report["payload_bytes"]["p50"] > 4 * (16 * 16 * 16 + 40 * 8 * 8), "float32 maps of two taps, and a seal"
    again = patchline("replay", "--data", str(category), "--artifact", str(done.directory / "artifacts"),
                      "--stations", "1", "--takt", "0.1", "--limit", "3", report="again")  # fmt: skip
    assert again.code == 0, again.output


@pytest.mark.parametrize("by", ["kernel", "program"])
def test_thin_lines_and_slow_computers_are_played_and_stated(patchline: Any, category: Any, by: Any) -> None:
    reason = (namespaces.why_not() or cpu_share.why_not()) if by == "kernel" else ""
    if reason:
        pytest.skip(f"the kernel may not here: {reason}")
    done = replay(patchline, category, "--stations", "1", "--takt", "1", "--limit", "4", "--codec", "raw",
                  "--uplink", "50kB/s", "--edge-slowdown", "2", "--constrained-by", by)  # fmt: skip
    assert done.code == 0, done.output
    report = done.report
    told = report["configuration"]
    assert told["uplink_bytes_per_second"] == 50_000
    assert told["edge_slowdown"] == 2
    assert told["uplink_shaped_by"] in (page := (done.directory / "report.html").read_text())
    assert told["edge_throttled_by"] in page
    on_the_line = report["payload_bytes"]["p50"] / 50_000
    assert report["transmission_seconds"]["p50"] > 0.9 * on_the_line > 0.8
    assert report["latency_seconds"]["p50"] > report["transmission_seconds"]["p50"]
