"""Intake: what it lets in, and by which name it refuses the rest."""

import dataclasses
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics_service.inspection.intake import admit
from analytics_service.inspection.opening import Damaged, Drop, Frame, Opened, open_all, open_delivery
from patchline.mqtt.delivery import Delivery
from patchline.vision.codecs.lookup import codec_of
from patchline.wire.errors import UnreadableError
from patchline.wire.messages import FrameMessage, pack, sha256_of
from patchline.wire.topics import Station, Topics

TOPICS = Topics()
TOPIC = "vad/v1/plant/line1/cam1/frame"


def opened(plant: Any, message: Any, channel: str = "frame") -> Opened:
    (found,) = open_all([Delivery(topic=plant.topic(channel), payload=pack(message))], TOPICS)
    return found


def frame_of(plant: Any, message: FrameMessage) -> Frame:
    found = opened(plant, message)
    assert isinstance(found, Frame)
    return found


def damage(plant: Any, message: FrameMessage, channel: str = "frame") -> Damaged:
    found = opened(plant, message, channel)
    assert isinstance(found, Damaged)
    return found


def refusal(plant: Any, artifact_store: Any, message: FrameMessage) -> UnreadableError:
    with pytest.raises(UnreadableError) as caught:
        admit(frame_of(plant, message), artifacts=artifact_store)
    return caught.value


def test_a_frame_is_decoded_to_what_its_codec_makes_of_it(plant: Any, artifact_store: Any) -> None:
    message = plant.frame(1, codec="png")
    inspection = admit(frame_of(plant, message), artifacts=artifact_store)
    assert isinstance(inspection.decoded, np.ndarray)
    assert inspection.decoded.shape == (64, 64, 3)
    assert inspection.decoded.dtype == np.uint8
    assert inspection.artifact.fingerprint == message.artifact
    assert inspection.frame.received_sha256 == sha256_of(pack(message))
    assert not inspection.frame.historical


def test_the_backlog_marks_a_part_as_historical(plant: Any) -> None:
    found = opened(plant, plant.frame(1), "backlog")
    assert isinstance(found, Frame)
    assert found.historical


def test_a_drop_is_opened_as_a_drop(plant: Any) -> None:
    found = opened(plant, plant.drop(1))
    assert isinstance(found, Drop)
    assert found.identity["sequence"] == 1


def test_an_envelope_signed_with_another_station_is_damaged_and_speaks_for_nobody(plant: Any) -> None:
    found = damage(plant, plant.frame(1, station="plant/line1/cam2"))
    assert "plant/line1/cam2" in found.error.reason
    assert (found.error.code, found.identified, found.identity["station"]) == ("station", False, "plant/line1/cam1")


@pytest.mark.parametrize("channel", ["verdict", "status", "nonsense"])
def test_other_channels_are_not_inspected(plant: Any, channel: str) -> None:
    delivery = Delivery(topic=plant.topic("frame"), payload=pack(plant.frame(1)))
    found = open_delivery(delivery, Station("plant", "line1", "cam1"), channel)
    assert isinstance(found, Damaged)
    assert found.error.code == "topic"


def test_a_topic_that_is_no_stations_is_left_alone(plant: Any) -> None:
    assert open_all([Delivery(topic="elsewhere", payload=pack(plant.frame(1)))], TOPICS) == []


def test_a_message_over_the_limit_is_not_looked_into(plant: Any) -> None:
    delivery = Delivery(topic=plant.topic(), payload=pack(plant.frame(1)))
    found = open_delivery(delivery, Station("plant", "line1", "cam1"), "frame", limit=100)
    assert isinstance(found, Damaged)
    assert found.error.code == "size"


def test_a_damaged_payload_is_found_although_it_might_decode(plant: Any) -> None:
    frame = plant.frame(1)
    found = damage(plant, msgspec.structs.replace(frame, payload=frame.payload[:-50] + bytes(50)))
    assert (found.error.code, found.identified) == ("sha256", True)
    assert found.identity["inspection_id"] == frame.inspection_id


@pytest.mark.parametrize("name", ["part_id", "boot_id", "traceparent"])
@pytest.mark.parametrize("text", ["A\x00B", "line\n", "\x1b[2J", "\x85"])
def test_control_characters_in_a_name_are_refused(plant: Any, name: str, text: str) -> None:
    assert damage(plant, msgspec.structs.replace(plant.frame(1), **{name: text})).error.code == "envelope"


def test_other_alphabets_in_a_name_are_not_refused(plant: Any) -> None:
    assert frame_of(plant, msgspec.structs.replace(plant.frame(1), part_id="Stück 7 / 部品")).identity["part_id"]


def test_an_unknown_artifact_is_refused_by_its_fingerprint(plant: Any, artifact_store: Any) -> None:
    error = refusal(plant, artifact_store, plant.frame(1, artifact="ab" * 32))
    assert error.code == "artifact"
    assert "abababababab" in error.reason


def test_an_artifact_of_another_station_may_not_judge(plant: Any, artifact_store: Any) -> None:
    stranger = dataclasses.replace(frame_of(plant, plant.frame(1)), station=Station("plant", "line1", "cam9"))
    with pytest.raises(UnreadableError, match="cam9") as caught:
        admit(stranger, artifacts=artifact_store)
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
def test_no_bytes_do_anything_but_open_or_be_damaged(data: bytes) -> None:
    assert len(open_all([Delivery(topic=TOPIC, payload=data)], TOPICS)) == 1
