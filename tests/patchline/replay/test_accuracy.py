"""Accuracy is measured against the ledger's masks, in multiples of each station's own threshold."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from PIL import Image

from patchline.replay.accuracy import measure, peaks
from patchline.replay.ledger import Entry
from patchline.replay.reconciliation import Fate, join

SIDE, WIDTH = 32, 48


@pytest.fixture
def parts(tmp_path: Path) -> Any:
    """A good part, a defective one with a mask, and a defective one nobody drew a mask for."""
    Image.fromarray(np.full((SIDE, WIDTH, 3), 90, np.uint8)).save(tmp_path / "part.png")
    mask = np.zeros((SIDE, WIDTH), np.uint8)
    mask[4:12, 4:12] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    picture = str(tmp_path / "part.png")
    fields = {"station": "plant/line/one", "picture": picture}
    return [
        Entry(part_id="part-0", label="good", **fields),
        Entry(part_id="part-1", label="dent", mask=str(tmp_path / "mask.png"), **fields),
        Entry(part_id="part-2", label="dent", **fields),
    ]


@pytest.fixture
def fates(parts: Any, verdict_on: Any, sighting_of: Any) -> Any:
    verdicts = [verdict_on(parts[0], score=1.0), verdict_on(parts[1], score=4.0), verdict_on(parts[2], score=3.0)]
    verdicts[1] = msgspec.structs.replace(verdicts[1], peak=(8 / WIDTH, 8 / SIDE))
    return join(parts, [sighting_of(verdict) for verdict in verdicts]).fates


def pointing_at(rows: Any, columns: Any) -> Any:
    drawn = np.zeros((SIDE, WIDTH), np.float32)
    drawn[rows, columns] = 4.0
    return drawn


def always(drawn: Any) -> Any:
    return lambda _: drawn


def test_a_map_that_marks_the_defect_exactly_is_perfect(fates: Any) -> None:
    hot, calm = pointing_at(slice(4, 12), slice(4, 12)), np.zeros((SIDE, WIDTH), np.float32)
    found = measure(fates, lambda fate: hot if fate.entry.defective else calm)
    assert found.image_auroc == 1.0
    assert found.pixel_auroc == 1.0
    assert found.pixel_f1 == 1.0
    assert found.aupro == pytest.approx(1.0)
    assert found.maps == 2


def test_a_map_that_marks_the_wrong_place_is_not(fates: Any) -> None:
    wrong = pointing_at(slice(20, 28), slice(20, 28))
    found = measure(fates, always(wrong))
    assert found.pixel_f1 is not None
    assert found.pixel_auroc is not None
    assert found.pixel_f1 < 0.3
    assert found.pixel_auroc < 0.6


def test_without_masks_there_are_no_pixel_figures(fates: Any) -> None:
    found = measure([fate for fate in fates if fate.entry.mask is None], always(np.ones((SIDE, WIDTH), np.float32)))
    assert found.image_auroc == 1.0
    assert (found.pixel_auroc, found.pixel_f1, found.aupro) == (None, None, None)
    assert (found.maps, found.maps_missing) == (0, 0)


def test_a_lost_map_is_left_out_and_counted(fates: Any) -> None:
    hot = pointing_at(slice(4, 12), slice(4, 12))
    found = measure(fates, lambda fate: hot if fate.entry.mask else None)
    assert (found.maps, found.maps_missing) == (1, 2)


def test_a_part_without_a_score_has_no_map_that_could_be_missing(parts: Any, verdict_on: Any, sighting_of: Any) -> None:
    seen = [verdict_on(parts[0]), verdict_on(parts[1], outcome="unreadable")]
    fates = join(parts, [sighting_of(verdict) for verdict in seen]).fates
    drawn = pointing_at(slice(4, 12), slice(4, 12))

    def map_of(fate: Fate) -> Any:
        assert fate.verdict is not None
        return drawn if fate.verdict.outcome == "unreadable" else None

    found = measure(fates, map_of)
    assert (found.maps, found.maps_missing) == (1, 1)


def test_parts_of_one_kind_have_no_auroc(fates: Any) -> None:
    assert measure(fates[1:], always(None)).image_auroc is None


def test_stations_with_other_thresholds_are_ranked_together(parts: Any, verdict_on: Any, sighting_of: Any) -> None:
    good = msgspec.structs.replace(verdict_on(parts[0], score=50.0, outcome="normal"), threshold=100.0)
    bad = msgspec.structs.replace(verdict_on(parts[1], score=3.0, outcome="anomalous"), threshold=2.0)
    fates = join(parts[:2], [sighting_of(good), sighting_of(bad)]).fates
    assert measure(fates, always(None)).image_auroc == 1.0
    calm, hot = np.full((SIDE, WIDTH), 50.0, np.float32), pointing_at(slice(4, 12), slice(4, 12))
    found = measure(fates, lambda fate: hot if fate.entry.defective else calm)
    assert (found.pixel_auroc, found.pixel_f1) == (1.0, 1.0), "4.0 of 2.0 is more than 50 of 100"


def test_without_a_threshold_a_map_counts_in_its_own_unit(parts: Any, verdict_on: Any, sighting_of: Any) -> None:
    verdicts = [verdict_on(part, outcome="uncalibrated") for part in parts[:2]]
    fates = join(parts[:2], [sighting_of(verdict) for verdict in verdicts]).fates
    hot = pointing_at(slice(4, 12), slice(4, 12))
    assert measure(fates, lambda fate: hot if fate.entry.defective else hot * 0).pixel_f1 == 1.0


def test_a_peak_in_the_mask_counts_as_pointing_at_the_defect(fates: Any) -> None:
    tally = peaks(fates)
    assert tally is not None
    assert (tally.inside, tally.of) == (1, 1)


def test_a_peak_elsewhere_does_not(fates: Any) -> None:
    moved = msgspec.structs.replace(fates[1], verdict=msgspec.structs.replace(fates[1].verdict, peak=(0.9, 0.9)))
    tally = peaks([moved])
    assert tally is not None
    assert tally.inside == 0


def test_without_rejected_parts_with_masks_there_is_nothing_to_point_at(fates: Any) -> None:
    assert peaks(fates[:1]) is None


def test_a_peak_on_the_pictures_last_pixel_is_in_the_picture(fates: Any, tmp_path: Path) -> None:
    corner = np.zeros((SIDE, WIDTH), np.uint8)
    corner[-2:, -2:] = 255
    Image.fromarray(corner).save(tmp_path / "corner.png")
    entry = msgspec.structs.replace(fates[1].entry, mask=str(tmp_path / "corner.png"))
    for place, inside in (((1.0, 1.0), 1), ((0.0, 1.0), 0), ((1.0, 0.0), 0)):
        verdict = msgspec.structs.replace(fates[1].verdict, peak=place)
        tally = peaks([msgspec.structs.replace(fates[1], entry=entry, verdict=verdict)])
        assert tally is not None
        assert tally.inside == inside
