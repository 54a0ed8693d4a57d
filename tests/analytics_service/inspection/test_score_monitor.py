"""Scores are followed by station and codec, and a new artifact starts anew."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from analytics_service.inspection.score_monitor import WINDOW, ScoreMonitor
from analytics_service.metrics import Metrics
from patchline.vision.scoring.drift import FEWEST, quantiles_of
from patchline.wire.topics import Station

CAM = Station("plant", "line", "cam")
PLACE = {"station": "plant/line/cam", "codec": "webp:80"}
NORMAL = np.random.default_rng(4).gamma(20, size=100)


def artifact(fingerprint: str = "a", threshold: float | None = 40.0, quantiles: Any = None) -> Any:
    known = quantiles_of(NORMAL) if quantiles is None else quantiles
    return SimpleNamespace(
        fingerprint=fingerprint,
        codec="webp:80",
        calibration=SimpleNamespace(threshold=threshold, images=len(NORMAL)),
        normal_quantiles=known,
    )


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def watch(registry: CollectorRegistry) -> ScoreMonitor:
    return ScoreMonitor(Metrics(registry))


def drift(registry: CollectorRegistry) -> tuple[float | None, float | None]:
    return (
        registry.get_sample_value("vad_analytics_score_drift_ratio", PLACE),
        registry.get_sample_value("vad_analytics_score_drift_limit_ratio", PLACE),
    )


def test_scores_like_those_of_commissioning_stay_below_the_limit(
    watch: ScoreMonitor, registry: CollectorRegistry
) -> None:
    for score in np.random.default_rng(5).gamma(20, size=WINDOW):
        watch.note(CAM, artifact(), float(score))
    found, limit = drift(registry)
    assert found is not None
    assert limit is not None
    assert 0 < found < limit


def test_scores_that_have_moved_are_over_it(watch: ScoreMonitor, registry: CollectorRegistry) -> None:
    for score in 1.4 * np.random.default_rng(5).gamma(20, size=WINDOW):
        watch.note(CAM, artifact(), float(score))
    found, limit = drift(registry)
    assert found is not None
    assert limit is not None
    assert found > limit


def test_nothing_is_said_of_few_scores_nor_without_a_reference(
    watch: ScoreMonitor, registry: CollectorRegistry
) -> None:
    for _ in range(FEWEST - 1):
        watch.note(CAM, artifact(), 20.0)
    for _ in range(FEWEST):
        watch.note(CAM, artifact("b", quantiles=()), 20.0)
    assert drift(registry) == (None, None)


def test_a_score_is_told_as_a_share_of_the_threshold(watch: ScoreMonitor, registry: CollectorRegistry) -> None:
    watch.note(CAM, artifact(), 20.0)
    watch.note(CAM, artifact("c", threshold=None, quantiles=(1.0, 10.0)), 20.0)
    assert registry.get_sample_value("vad_analytics_score_ratio_sum", PLACE) == pytest.approx(0.5 + 2.0)


@pytest.mark.parametrize("stations", [2, 5, 7])
def test_drift_is_looked_for_at_every_station_whatever_the_order_of_their_parts(
    watch: ScoreMonitor, registry: CollectorRegistry, stations: int
) -> None:
    for score in np.random.default_rng(5).gamma(20, size=WINDOW):
        for number in range(stations):
            watch.note(Station("plant", "line", f"cam{number}"), artifact(), float(score))
    for number in range(stations):
        place = {"station": f"plant/line/cam{number}", "codec": "webp:80"}
        assert registry.get_sample_value("vad_analytics_score_drift_ratio", place) is not None
