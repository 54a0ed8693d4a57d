"""The ledger deals every picture once, in an order that a seed decides, and tells the stations nothing of the truth."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from patchline.pictures.files import Category, Sample
from patchline.replay.ledger import Entry, check_ledger, deal, write_plan
from patchline.wire.errors import MisconfiguredError

STATIONS = ["plant/line/one", "plant/line/two", "plant/line/three"]


@pytest.fixture
def category() -> Category:
    good = tuple(Sample(path=Path(f"/c/test/good/{n}.png"), label="good", mask_path=None) for n in range(7))
    dent = tuple(
        Sample(path=Path(f"/c/test/dent/{n}.png"), label="dent", mask_path=Path(f"/c/ground_truth/dent/{n}_mask.png"))
        for n in range(4)
    )
    return Category(name="c", train=good, test=good + dent)


def test_every_test_picture_is_dealt_once(category: Any) -> None:
    entries = deal(category, STATIONS, seed=3)
    assert sorted(entry.picture for entry in entries) == sorted(str(sample.path) for sample in category.test)
    assert len({entry.key for entry in entries}) == len(entries)
    shares = [sum(entry.station == station for entry in entries) for station in STATIONS]
    assert max(shares) - min(shares) <= 1


def test_the_seed_decides_the_order(category: Any) -> None:
    assert deal(category, STATIONS, seed=3) == deal(category, STATIONS, seed=3)
    assert deal(category, STATIONS, seed=3) != deal(category, STATIONS, seed=4)


def test_a_limit_takes_fewer(category: Any) -> None:
    assert len(deal(category, STATIONS, seed=3, limit=5)) == 5


def test_pictures_come_again_when_more_parts_are_wanted_than_there_are(category: Any) -> None:
    entries = deal(category, STATIONS, seed=3, limit=25)
    assert len({entry.key for entry in entries}) == 25
    shown = [sum(entry.picture == str(sample.path) for entry in entries) for sample in category.test]
    assert set(shown) == {2, 3}


def test_too_few_pictures_for_the_stations_are_refused(category: Any) -> None:
    with pytest.raises(MisconfiguredError, match="2 test pictures"):
        deal(category, STATIONS, seed=3, limit=2)


def test_a_part_id_says_nothing_of_the_label(category: Any) -> None:
    for entry in deal(category, STATIONS, seed=3):
        assert entry.label not in entry.part_id
        assert Path(entry.picture).stem not in {entry.part_id, entry.part_id.rpartition("-")[2]}


def test_a_plan_holds_path_and_part_id_and_nothing_else(category: Any, tmp_path: Path) -> None:
    plan = tmp_path / "plan.jsonl"
    write_plan(plan, deal(category, STATIONS, seed=3))
    rows = [msgspec.json.decode(line) for line in plan.read_bytes().splitlines()]
    assert all(set(row) == {"path", "part_id"} for row in rows)


def test_two_parts_of_one_name_at_one_station_are_refused() -> None:
    entry = Entry(station=STATIONS[0], part_id="a", label="good", picture="a.png")
    with pytest.raises(MisconfiguredError, match="twice"):
        check_ledger([entry, entry])


def test_paths_of_a_relative_category_hold_from_any_folder() -> None:
    here = Category(name="c", train=(), test=tuple(Sample(Path(f"test/good/{n}.png"), "good", None) for n in range(3)))
    assert all(Path(entry.picture).is_absolute() for entry in deal(here, STATIONS, seed=3))
