"""The watcher writes down what is on the wire, repeats and all, and comes back after the broker."""

import uuid
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from patchline.mqtt.delivery import Delivery
from patchline.mqtt.link import Link
from patchline.mqtt.settings import LinkSettings
from patchline.replay.part_pictures import published_map
from patchline.replay.watcher import Watcher
from patchline.wire.errors import UnavailableError
from patchline.wire.messages import MapMessage, ServiceStatus, pack, to_json
from patchline.wire.topics import Station, Topics

STATION = "plant/line/one"
TOPICS = Topics()


def ignore(_: Any) -> None:
    """The talker only talks."""


@pytest.fixture
def talker(mosquitto: Any) -> Any:
    link = Link(
        LinkSettings(port=mosquitto.port, client_id="talker"),
        on_delivery=ignore,
        on_connected=ignore,
        on_disconnected=ignore,
    )
    link.start()
    assert link.wait_connected(60.0)
    yield link
    link.stop(1)


@pytest.fixture
def watcher(mosquitto: Any, tmp_path: Path) -> Any:
    watcher = Watcher(LinkSettings(port=mosquitto.port, client_id="watcher"), TOPICS, tmp_path / "maps", [STATION])
    watcher.start()
    yield watcher
    watcher.stop()


def say(talker: Any, verdict: Any) -> None:
    talker.publish(TOPICS.of(Station.parse(verdict.station), "verdict"), to_json(verdict), qos=1)


@pytest.mark.broker
def test_every_verdict_is_written_down_and_a_repeat_is_counted_once(
    talker: Any, watcher: Any, entries: Any, verdict_on: Any, drop_of: Any, eventually: Any
) -> None:
    for entry in entries[:3]:
        say(talker, verdict_on(entry))
    say(talker, verdict_on(entries[0]))
    say(talker, drop_of(entries[3]))
    eventually(lambda: len(watcher.sightings()) == 5)
    tally = watcher.tallies()[STATION]
    assert tally.judged == 4
    assert tally.outcomes == {"normal": 3, "dropped": 1}
    assert [verdict.part_id for verdict in watcher.last()] == ["part-2", "part-1", "part-0"]


@pytest.mark.broker
def test_a_map_becomes_a_file_with_the_distances_it_stands_for(
    talker: Any, watcher: Any, eventually: Any, tmp_path: Path
) -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    Image.fromarray(ramp).save(tmp_path / "ramp.webp", "WEBP", lossless=True)
    message = MapMessage(
        inspection_id=str(uuid.UUID(int=5)),
        station=STATION,
        part_id="part",
        picture=(tmp_path / "ramp.webp").read_bytes(),
        low=1.0,
        high=3.0,
    )
    talker.publish(TOPICS.of(Station.parse(STATION), "map"), pack(message), qos=0)
    path = watcher.map_file(message.inspection_id)
    eventually(path.is_file)
    eventually(lambda: path.stat().st_size > 0)
    published = published_map(path)
    assert published is not None
    np.testing.assert_allclose(published, 1.0 + 2.0 * ramp / 255.0, rtol=1e-6)


def test_a_map_nobody_saw_is_none(tmp_path: Path) -> None:
    assert published_map(tmp_path / "none.msgpack") is None


@pytest.mark.broker
def test_the_service_is_online_once_it_says_so(talker: Any, watcher: Any) -> None:
    assert not watcher.wait_service(0.05)
    status = ServiceStatus(name="analytics", online=True)
    talker.publish(TOPICS.service_status("plant", "analytics"), to_json(status), qos=1, retain=True)
    assert watcher.wait_service(60)


@pytest.mark.broker
def test_what_nobody_can_read_does_not_stop_it(
    talker: Any, watcher: Any, entries: Any, verdict_on: Any, eventually: Any
) -> None:
    topic = TOPICS.of(Station.parse(STATION), "verdict")
    talker.publish(topic, b"{not json", qos=1)
    talker.publish(TOPICS.of(Station.parse(STATION), "map"), b"\xc1", qos=0)
    say(talker, verdict_on(entries[0]))
    eventually(lambda: len(watcher.sightings()) == 1)


@pytest.mark.broker
@pytest.mark.slow
def test_it_comes_back_after_a_killed_broker(
    mosquitto: Any, talker: Any, watcher: Any, entries: Any, verdict_on: Any, eventually: Any
) -> Any:
    mosquitto.kill()
    mosquitto.restart()
    assert talker.wait_connected(60.0)

    def said_and_seen() -> Any:
        try:
            say(talker, verdict_on(entries[0]))
        except UnavailableError:
            return False
        return bool(watcher.sightings())

    eventually(said_and_seen)


def test_what_does_not_fit_any_more_holds_up_no_acknowledgement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("patchline.replay.watcher._MAX_WAITING", 2)
    watcher = Watcher(LinkSettings(port=1, client_id="watcher"), TOPICS, tmp_path / "maps", [STATION])
    acknowledged: list[int] = []
    for number in range(4):
        watcher._take(Delivery(topic="t", payload=b"", on_acknowledge=partial(acknowledged.append, number)))
    assert acknowledged == [2, 3]


@pytest.mark.broker
def test_a_map_that_the_disk_does_not_take_costs_no_verdict(
    talker: Any, watcher: Any, entries: Any, verdict_on: Any, eventually: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher, "map_file", lambda _: Path("/dev/full"))
    lost = MapMessage(
        inspection_id=str(uuid.UUID(int=5)), station=STATION, part_id="p", picture=b"picture", low=0.0, high=1.0
    )
    talker.publish(TOPICS.of(Station.parse(STATION), "map"), pack(lost), qos=1)
    say(talker, verdict_on(entries[0]))
    eventually(lambda: len(watcher.sightings()) == 1)


def test_without_a_broker_it_says_so(tmp_path: Path) -> None:
    watcher = Watcher(LinkSettings(port=1, client_id="watcher"), TOPICS, tmp_path / "maps", [STATION])
    with pytest.raises(UnavailableError, match="no broker"):
        watcher.start(timeout_seconds=0.2)
