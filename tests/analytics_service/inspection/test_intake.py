"""Intake: what it lets in, and by which name it refuses the rest."""

from contextlib import suppress
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics_service.inspection.intake import Envelope, admit, open_envelope
from patchline.vision.codecs.lookup import codec_of
from patchline.wire.errors import UnreadableError
from patchline.wire.messages import FrameMessage, pack, sha256_of
from patchline.wire.topics import Station, Topics

TOPICS = Topics()
TOPIC = "vad/v1/plant/line1/cam1/frame"


def opened(plant: Any, frame: FrameMessage, channel: str = "frame") -> Envelope:
    return open_envelope(pack(frame), plant.topic(channel), topics=TOPICS)


def refusal(plant: Any, artifact_store: Any, frame: FrameMessage) -> UnreadableError:
    with pytest.raises(UnreadableError) as caught:
        admit(opened(plant, frame), frame, artifacts=artifact_store)
    return caught.value


def test_a_frame_is_decoded_to_what_its_codec_makes_of_it(plant: Any, artifact_store: Any) -> None:
    frame = plant.frame(1, codec="png")
    inspection = admit(opened(plant, frame), frame, artifacts=artifact_store)
    assert isinstance(inspection.decoded, np.ndarray)
    assert inspection.decoded.shape == (64, 64, 3)
    assert inspection.decoded.dtype == np.uint8
    assert inspection.artifact.fingerprint == frame.artifact
    assert inspection.received_sha256 == sha256_of(pack(frame))
    assert not inspection.historical


def test_the_backlog_marks_a_part_as_historical(plant: Any) -> None:
    assert opened(plant, plant.frame(1), "backlog").historical


def test_an_envelope_signed_with_another_station_is_refused(plant: Any) -> None:
    with pytest.raises(UnreadableError, match="plant/line1/cam2") as caught:
        opened(plant, plant.frame(1, station="plant/line1/cam2"))
    assert caught.value.code == "station"


@pytest.mark.parametrize("channel", ["verdict", "status", "nonsense"])
def test_other_channels_are_not_inspected(plant: Any, channel: str) -> None:
    with pytest.raises(UnreadableError) as caught:
        opened(plant, plant.frame(1), channel)
    assert caught.value.code == "topic"


def test_a_message_over_the_limit_is_not_looked_into(plant: Any) -> None:
    with pytest.raises(UnreadableError) as caught:
        open_envelope(pack(plant.frame(1)), plant.topic(), topics=TOPICS, limit=100)
    assert caught.value.code == "size"


def test_a_damaged_payload_is_refused_although_it_might_decode(plant: Any, artifact_store: Any) -> None:
    frame = plant.frame(1)
    damaged = msgspec.structs.replace(frame, payload=frame.payload[:-50] + bytes(50))
    assert refusal(plant, artifact_store, damaged).code == "sha256"


def test_an_unknown_artifact_is_refused_by_its_fingerprint(plant: Any, artifact_store: Any) -> None:
    error = refusal(plant, artifact_store, plant.frame(1, artifact="ab" * 32))
    assert error.code == "artifact"
    assert "abababababab" in error.reason


def test_an_artifact_of_another_station_may_not_judge(plant: Any, artifact_store: Any) -> None:
    frame = plant.frame(1)
    stranger = Envelope(Station("plant", "line1", "cam9"), frame, "0" * 64, historical=False)
    with pytest.raises(UnreadableError, match="cam9") as caught:
        admit(stranger, frame, artifacts=artifact_store)
    assert caught.value.code == "artifact"


def test_another_codec_than_the_artifacts_is_refused(plant: Any, artifact_store: Any) -> None:
    assert refusal(plant, artifact_store, plant.frame(1, codec="png", artifact=plant.frame(1).artifact)).code == "codec"


def test_a_picture_of_another_size_is_refused(plant: Any, artifact_store: Any) -> None:
    payload = np.zeros((32, 64, 3), np.uint8)
    encoded = codec_of("webp:80").encode(payload)
    error = refusal(plant, artifact_store, plant.frame(1, payload=encoded, payload_sha256=sha256_of(encoded)))
    assert error.code in {"size", "picture"}


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400))
def test_no_bytes_do_anything_but_open_or_be_unreadable(data: bytes) -> None:
    with suppress(UnreadableError):
        open_envelope(data, TOPIC, topics=TOPICS)
