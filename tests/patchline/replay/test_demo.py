"""The demonstration's truth is known before its line starts, and it is what the stations will draw."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_node.capture.sources.protocol import Shot, SourceContext
from edge_node.capture.sources.synthetic import SyntheticSource
from edge_node.capture.takt import trigger_now
from patchline.pictures.files import GOOD, open_picture
from patchline.replay.demo import DemoOptions, prepare
from patchline.wire.errors import MisconfiguredError


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: Any) -> Any:
    report = tmp_path_factory.mktemp("demo") / "report"
    options = DemoOptions(report=report, seconds=5, stations=2, seed=3, good_parts=10)
    try:
        return prepare(options, on_phase=lambda *_: None)
    except MisconfiguredError as error:
        pytest.skip(f"no backbone: {error}")


def next_shot(source: SyntheticSource) -> Shot | None:
    return source.at(trigger_now())


@pytest.mark.slow
def test_every_station_draws_exactly_the_parts_of_the_ledger(scenario: Any) -> None:
    for plan in scenario.stations:
        source = SyntheticSource(SyntheticSource.Settings(**plan.source), SourceContext())
        shots = list(iter(partial(next_shot, source), None))
        assert [shot.part_id for shot in shots] == [entry.part_id for entry in plan.entries]
        for shot, entry in zip(shots, plan.entries, strict=True):
            np.testing.assert_array_equal(shot.open(), open_picture(Path(entry.picture)))


@pytest.mark.slow
def test_the_stations_make_different_products_some_of_them_defective(scenario: Any) -> None:
    assert len({plan.source["product"] for plan in scenario.stations}) == 2
    labels = {entry.label for entry in scenario.entries}
    assert GOOD in labels
    assert len(labels) > 1
    assert all((entry.mask is None) == (entry.label == GOOD) for entry in scenario.entries)


@pytest.mark.slow
def test_no_part_to_judge_was_learnt_from(scenario: Any) -> None:
    learnt = {path.read_bytes() for path in (scenario.directory / "pictures").rglob("good/*.png")}
    assert learnt
    assert not any(Path(entry.picture).read_bytes() in learnt for entry in scenario.entries)
