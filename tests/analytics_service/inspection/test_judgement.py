"""Judgements: thresholds, identities made from content, maps on a fixed scale."""

import io
import uuid
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from analytics_service.inspection.identity import identity_by_content
from analytics_service.inspection.inspector import Finding
from analytics_service.inspection.judgement import map_message, outcome_of
from patchline.wire.messages import sha256_of
from patchline.wire.topics import Station


@pytest.mark.parametrize(
    ("score", "threshold", "outcome"),
    [(1.0, 2.0, "normal"), (2.0, 2.0, "normal"), (2.1, 2.0, "anomalous"), (9.0, None, "uncalibrated")],
)
def test_only_a_score_above_the_threshold_is_anomalous(score: float, threshold: float | None, outcome: str) -> None:
    assert outcome_of(score, threshold) == outcome


@given(st.binary(max_size=100))
def test_an_identity_by_content_is_a_valid_uuid_and_always_the_same(data: bytes) -> None:
    station = Station("plant", "line1", "cam1")
    identity = identity_by_content(station, sha256_of(data))
    made = uuid.UUID(identity["inspection_id"])
    assert made.version == 8
    assert made.variant == uuid.RFC_4122
    assert identity == identity_by_content(station, sha256_of(data))
    assert identity["inspection_id"] != identity_by_content(station, sha256_of(data + b"x"))["inspection_id"]


def test_a_map_is_drawn_on_its_artifacts_scale_whatever_the_picture(plant: Any) -> None:
    calibration = plant.made.commissioned_codecs[0].artifact.calibration
    inspection: Any = SimpleNamespace(
        frame=SimpleNamespace(message=plant.frame(1)),
        artifact=SimpleNamespace(map_range=(1.0, 3.0), calibration=calibration),
    )
    distances = np.array([[0.0, 1.0], [2.0, 9.0]], np.float32)
    message = map_message(inspection, Finding(9.0, distances, (0.75, 0.75), {}))
    grey = np.asarray(Image.open(io.BytesIO(message.picture)).convert("L"))
    np.testing.assert_array_equal(grey, [[0, 0], [128, 255]])
    assert (message.low, message.high, message.threshold) == (1.0, 3.0, calibration.threshold)
