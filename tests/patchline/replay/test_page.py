"""The report's page tells the run in words and pictures, and needs nothing but itself."""

import base64
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edge_node.outbox.journal import JournalLine
from patchline.replay.accuracy import Accuracy, PeakTally
from patchline.replay.ledger import Entry
from patchline.replay.reconciliation import join
from patchline.replay.report.overlays import dilated, heat, heat_panel, plain_panel
from patchline.replay.report.page import render_page
from patchline.replay.summary import summarise

STATION = "plant/line/one"


@pytest.fixture
def parts(tmp_path: Path) -> Any:
    """Good and defective parts, one picture of which is gone, and one whose name could break a page."""
    rng = np.random.default_rng(1)
    entries = []
    for number in range(8):
        picture = tmp_path / f"{number}.png"
        Image.fromarray(rng.integers(0, 255, (40, 60, 3), np.uint8)).save(picture)
        label = "good" if number % 2 == 0 else "<script>alert(1)</script>"
        mask = None
        if label != "good":
            mask = tmp_path / f"{number}_mask.png"
            Image.fromarray(np.pad(np.full((10, 10), 255, np.uint8), ((5, 25), (5, 45)))).save(mask)
        entries.append(
            Entry(
                station=STATION,
                part_id=f"part-{number}",
                label=label,
                picture=str(picture),
                mask=None if mask is None else str(mask),
            )
        )
    (tmp_path / "7.png").unlink()
    return entries


@pytest.fixture
def render(parts: Any, verdict_on: Any, sighting_of: Any) -> Any:
    def make(scores: Any, *, faults: Any = (), note: Any = "") -> Any:
        verdicts = [verdict_on(part, score=score) for part, score in zip(parts, scores, strict=True)]
        account = join(parts, [sighting_of(verdict) for verdict in verdicts])
        lines = [
            JournalLine(
                sequence=verdict.sequence,
                inspection_id=verdict.inspection_id,
                part_id=verdict.part_id,
                boot_id="boot",
                captured_at=0.0,
                outcome=verdict.outcome,
                latency_seconds=0.1 + 0.01 * verdict.sequence,
                payload_bytes=4000 + verdict.sequence,
                wire_bytes=4500,
                stages={"encode": 0.01, "embed": 0.03, "server": 0.05, "transmission": 0.02},
            )
            for verdict in verdicts
        ]
        summary = summarise(
            account,
            {STATION: lines},
            accuracy=Accuracy(image_auroc=0.9, pixel_f1=0.5),
            by_station={STATION: Accuracy()},
            peaks=PeakTally(inside=1, of=2),
            stamp={"machine": {"cores": 2}, "versions": {"python": "3"}, "commit": "abc", "seed": 7},
            configuration={"codec": "webp:80", "parameters": {"neighbours": 9}, "kills": ["broker at 3 s"]},
            faults=list(faults),
            duration_seconds=6.0,
        )
        drawn = np.linspace(0, 4, 40 * 60, dtype=np.float32).reshape(40, 60)
        return render_page(
            summary, account.fates, {STATION: lines}, lambda _: drawn, title="A replay & its page", note=note
        )

    return make


MIXED = [1.0, 3.0, 1.0, 1.5, 2.5, 4.0, 1.0, 5.0]


def test_the_page_asks_nothing_of_any_network(render: Any) -> None:
    page = render(MIXED)
    sources = re.findall(r"(?:src|href)\s*=\s*[\"']([^\"']*)", page)
    assert sources
    assert all(source.startswith("data:") for source in sources)
    assert "url(" not in page
    assert "@import" not in page
    assert "http:" not in page
    assert "https:" not in page


def test_labels_from_folders_cannot_break_the_page(render: Any) -> None:
    page = render(MIXED)
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_the_headline_tells_the_books_in_plain_words(render: Any) -> None:
    page = render(MIXED)
    assert "8 parts produced, 8 judged, 0 lost." in page
    assert "3 of 4 defective parts were rejected." in page
    assert "1 of 4 good parts was rejected." in page
    assert "exactly one verdict" in page


def test_every_embedded_picture_can_be_opened(render: Any) -> None:
    pictures = re.findall(r"data:image/webp;base64,([A-Za-z0-9+/=]+)", render(MIXED))
    assert len(pictures) > 4
    for encoded in pictures:
        Image.open(io.BytesIO(base64.b64decode(encoded))).load()


def test_a_picture_that_is_gone_is_said_to_be_gone(render: Any) -> None:
    assert "picture is gone" in render(MIXED)


def test_a_calm_run_says_that_nothing_went_wrong(render: Any) -> None:
    page = render([1.0, 3.0, 1.0, 3.0, 1.0, 3.0, 1.0, 3.0])
    assert "every defective part was rejected" in page
    assert "every good part was accepted" in page


def test_books_that_do_not_balance_are_said_so_first(render: Any) -> None:
    page = render(MIXED, faults=["2 parts have no verdict: here and there"])
    assert "The books do not balance" in page
    assert "2 parts have no verdict" in page
    assert "exactly one verdict</span>" not in page


def test_a_note_on_the_parts_is_on_the_page(render: Any) -> None:
    assert "only drawn" in render(MIXED, note="The parts are only drawn.")


def test_configuration_machine_and_commit_are_on_the_page(render: Any) -> None:
    page = render(MIXED)
    for fact in ("webp:80", "neighbours", "broker at 3 s", "abc"):
        assert fact in page


def test_heat_is_the_same_for_the_same_value_in_any_map() -> None:
    calm, hot = np.full((4, 4), 0.9, np.float32), np.full((4, 4), 0.9, np.float32)
    hot[0, 0] = 9.0
    for first, second in zip(heat(calm), heat(hot), strict=True):
        np.testing.assert_array_equal(first[1:], second[1:])


def test_a_calm_map_leaves_the_picture_grey() -> None:
    pixels = np.full((20, 30, 3), (200, 10, 10), np.uint8)
    panel = heat_panel(pixels, np.full((20, 30), 0.4, np.float32), None)
    assert (panel == panel[..., :1]).all()


def test_the_outline_runs_around_the_mask_and_not_over_it() -> None:
    pixels = np.zeros((80, 80, 3), np.uint8)
    mask = np.zeros((80, 80), bool)
    mask[20:40, 20:40] = True
    panel = plain_panel(pixels, mask)
    assert panel.any()
    assert not panel[90:150, 90:150].any()


def test_a_grown_mask_holds_the_mask_and_a_margin() -> None:
    mask = np.zeros((100, 100), bool)
    mask[50, 50] = True
    grown = dilated(mask)
    assert grown[47:54, 47:54].all()
    assert grown.sum() == 49
