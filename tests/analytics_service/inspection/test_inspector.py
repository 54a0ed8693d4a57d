"""Scoring in batches changes nothing but the time it takes."""

import time
from typing import Any

import numpy as np
import pytest

from analytics_service.inspection.inspector import inspect
from analytics_service.inspection.intake import Inspection, admit
from analytics_service.inspection.opening import Frame, open_all
from patchline.mqtt.delivery import Delivery
from patchline.wire.messages import FrameMessage, pack
from patchline.wire.topics import Topics


@pytest.fixture(scope="module")
def inspections(plant: Any, artifact_store: Any) -> list[Inspection]:
    """Parts of two codecs and so of two artifacts, mixed, good and bad."""

    def admitted(frame: FrameMessage) -> Inspection:
        (opened,) = open_all([Delivery(topic=plant.topic(), payload=pack(frame))], Topics())
        assert isinstance(opened, Frame)
        return admit(opened, artifacts=artifact_store)

    return [
        admitted(plant.frame(number, defect=number % 3 == 0, codec=("webp:80", "png")[number % 2]))
        for number in range(10)
    ]


def test_a_part_scores_the_same_alone_and_in_a_batch(inspections: list[Inspection]) -> None:
    together = inspect(inspections, clock=time.perf_counter)
    alone = [inspect([each], clock=time.perf_counter)[0] for each in inspections]
    for one, other in zip(alone, together, strict=True):
        assert one.score == pytest.approx(other.score, rel=1e-4)
        np.testing.assert_allclose(one.anomaly_map, other.anomaly_map, rtol=1e-4, atol=1e-5)
        assert one.peak == other.peak


def test_findings_come_in_the_order_of_the_inspections(inspections: list[Inspection]) -> None:
    forwards = inspect(inspections, clock=time.perf_counter)
    backwards = inspect(inspections[::-1], clock=time.perf_counter)
    np.testing.assert_allclose([f.score for f in forwards], [f.score for f in backwards[::-1]], rtol=1e-4)


def test_a_defect_scores_higher_and_the_map_peaks_on_it(inspections: list[Inspection]) -> None:
    findings = inspect(inspections, clock=time.perf_counter)
    bad = [finding for number, finding in enumerate(findings) if number % 3 == 0]
    good = [finding for number, finding in enumerate(findings) if number % 3]
    assert min(each.score for each in bad) > max(each.score for each in good)
    for finding in bad:
        assert 0.3 < finding.peak[0] < 0.75
        assert 0.25 < finding.peak[1] < 0.7


def test_stages_are_what_the_clock_says(inspections: list[Inspection]) -> None:
    ticks = iter(range(1000))
    finding = inspect(inspections[:1], clock=lambda: float(next(ticks)))[0]
    assert finding.stages == {"embed": 2.0, "search": 1.0, "render": 1.0}


def test_parts_of_two_artifacts_share_one_run_of_the_backbone(inspections: list[Inspection]) -> None:
    engines = {each.artifact.reader.batch_key for each in inspections}
    assert len(engines) == 1
    assert len({each.artifact.fingerprint for each in inspections}) == 2


def test_nothing_gives_nothing() -> None:
    assert inspect([], clock=time.perf_counter) == []
