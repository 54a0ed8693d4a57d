"""What the service says unasked, and what it sends on request."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from analytics_service.announcements import Announcements
from patchline.mqtt.delivery import Acknowledged, Delivery
from patchline.runtime.watchdog import Watchdog
from patchline.wire.errors import UnavailableError
from patchline.wire.messages import (
    MAX_ASSET_CHUNK_BYTES,
    AssetChunk,
    AssetRange,
    EdgeStatus,
    Profile,
    ServiceStatus,
    from_json,
    sha256_of,
    to_json,
    unpack,
)

TOPIC = "vad/v1/plant/_service/analytics/status"
ASSET = bytes(range(256)) * 2500


class FakeNotices:
    """Remembers what is published."""

    def __init__(self) -> None:
        self.connected = True
        self.said: list[tuple[str, bytes, bool]] = []
        self.failures: list[Exception] = []
        self.silent = False

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        retain: bool = False,
        on_done: Callable[[Acknowledged], None] | None = None,
        **_properties: object,
    ) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.said.append((topic, payload, retain))
        if on_done and not self.silent:
            on_done(Acknowledged(accepted=True, reason="Success"))

    def topics(self) -> list[str]:
        return [topic for topic, _, _ in self.said]


class FakeLibrary:
    """One profile and one asset."""

    def __init__(self, profile: Profile, path: Path) -> None:
        self.profiles = {profile.station: profile}
        self._path = path

    def asset(self, sha256: str) -> Path | None:
        return self._path if sha256 == sha256_of(ASSET) else None


@pytest.fixture
def notices() -> FakeNotices:
    return FakeNotices()


@pytest.fixture
def publication(plant: Any, notices: FakeNotices, tmp_path: Path) -> Iterator[Announcements]:
    (tmp_path / "asset").write_bytes(ASSET)
    publication = Announcements(
        notices,
        library=FakeLibrary(plant.made.profile, tmp_path / "asset"),
        topics=plant.topics,
        birth=ServiceStatus(name="analytics", online=True, instance="one"),
        topic=TOPIC,
        watchdog=Watchdog(),
    )
    thread = threading.Thread(target=publication.run)
    thread.start()
    yield publication
    publication.stop()
    thread.join(60.0)
    assert not thread.is_alive()


def status(plant: Any, **changes: Any) -> Delivery:
    payload = to_json(EdgeStatus(station=str(plant.station), online=True, **changes))
    return Delivery(topic=plant.topic("status"), payload=payload)


def test_profiles_are_announced_retained_before_the_birth(
    plant: Any, publication: Announcements, notices: FakeNotices, eventually: Callable[..., None]
) -> None:
    publication.announce()
    eventually(lambda: len(notices.said) == 2)
    (profile_topic, profile, profile_retained), (topic, birth, retained) = notices.said
    assert (profile_topic, topic) == (plant.topic("profile"), TOPIC)
    assert profile_retained
    assert retained
    assert unpack(profile, Profile) == plant.made.profile
    assert from_json(birth, ServiceStatus) == ServiceStatus(name="analytics", online=True, instance="one")


def test_a_missing_asset_is_sent_in_chunks_that_make_the_whole(
    plant: Any, publication: Announcements, notices: FakeNotices, eventually: Callable[..., None]
) -> None:
    publication.on_status(status(plant, missing_assets=(sha256_of(ASSET),)))
    eventually(lambda: len(notices.said) == 3)
    chunks: list[AssetChunk] = [unpack(payload, AssetChunk) for _, payload, _ in notices.said]
    assert set(notices.topics()) == {plant.topic("asset")}
    assert [chunk.offset for chunk in chunks] == [0, MAX_ASSET_CHUNK_BYTES, 2 * MAX_ASSET_CHUNK_BYTES]
    assert b"".join(chunk.data for chunk in chunks) == ASSET
    assert {(chunk.sha256, chunk.size) for chunk in chunks} == {(sha256_of(ASSET), len(ASSET))}


def asked(offset: int, size: int) -> AssetRange:
    return AssetRange(sha256=sha256_of(ASSET), offset=offset, size=size)


def test_only_the_ranges_that_are_asked_for_are_sent(
    plant: Any, publication: Announcements, notices: FakeNotices, eventually: Callable[..., None]
) -> None:
    ranges = (asked(4096, 100), asked(len(ASSET) - 10, 4096), asked(2**40, 10))
    publication.on_status(status(plant, missing_assets=(sha256_of(ASSET),), missing_ranges=ranges))
    eventually(lambda: len(notices.said) == 3)
    chunks: list[AssetChunk] = [unpack(payload, AssetChunk) for _, payload, _ in notices.said]
    assert [(chunk.offset, chunk.data) for chunk in chunks] == [
        (4096, ASSET[4096:4196]),
        (len(ASSET) - 10, ASSET[-10:]),
        (2**40, b""),
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"missing_ranges": ()},
        {"missing_ranges": (asked(0, 100),), "asked_service": "another worker"},
        {"missing_ranges": None, "asked_service": "another worker"},
    ],
)
def test_nothing_is_sent_that_this_service_was_not_asked_for(
    *, plant: Any, publication: Announcements, notices: FakeNotices, eventually: Callable[..., None], changes: Any
) -> None:
    publication.on_status(status(plant, missing_assets=(sha256_of(ASSET),), **changes))
    publication.announce()
    eventually(lambda: TOPIC in notices.topics())
    assert plant.topic("asset") not in notices.topics()


def test_of_two_workers_the_one_that_is_named_answers(
    plant: Any, publication: Announcements, notices: FakeNotices, eventually: Callable[..., None]
) -> None:
    publication.on_status(status(plant, missing_ranges=(asked(0, 100),), asked_service="analytics"))
    eventually(lambda: notices.topics() == [plant.topic("asset")])


def test_an_announcement_that_failed_while_the_connection_lasts_is_made_again(
    publication: Announcements, notices: FakeNotices, eventually: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analytics_service.announcements.ACKNOWLEDGEMENT_SECONDS", 0.01)
    notices.silent = True
    publication.announce()
    eventually(lambda: len(notices.said) == 1)
    notices.silent = False
    eventually(lambda: TOPIC in notices.topics())


def test_a_flood_of_requests_leaves_room_for_an_announcement(
    plant: Any, notices: FakeNotices, eventually: Callable[..., None], publication: Announcements
) -> None:
    notices.failures = [UnavailableError("full")] * 5
    for number in range(1100):
        publication.on_status(status(plant, missing_ranges=(asked(4096 * number, 1),)))
    publication.announce()
    eventually(lambda: TOPIC in notices.topics())


def test_an_asset_nobody_offers_is_not_sent(
    plant: Any, publication: Announcements, notices: FakeNotices, eventually: Callable[..., None]
) -> None:
    publication.on_status(status(plant, missing_assets=("ab" * 32,)))
    publication.announce()
    eventually(lambda: TOPIC in notices.topics())
    assert plant.topic("asset") not in notices.topics()


def test_other_statuses_are_nobodys_request(
    plant: Any, publication: Announcements, notices: FakeNotices, eventually: Callable[..., None]
) -> None:
    publication.on_status(Delivery(topic=TOPIC, payload=b"{}"))
    publication.on_status(Delivery(topic=plant.topic("status"), payload=b"\xff"))
    publication.on_status(status(plant))
    publication.announce()
    eventually(lambda: TOPIC in notices.topics())
    assert notices.topics() == [plant.topic("profile"), TOPIC]


def test_a_full_window_is_waited_for(
    publication: Announcements, notices: FakeNotices, eventually: Callable[..., None]
) -> None:
    notices.failures = [UnavailableError("full")] * 2
    publication.announce()
    eventually(lambda: len(notices.said) == 2)


def test_a_lost_connection_leaves_it_to_the_next_announcement(
    publication: Announcements, notices: FakeNotices, eventually: Callable[..., None]
) -> None:
    notices.connected = False
    notices.failures = [UnavailableError("gone")]
    publication.announce()
    eventually(lambda: not notices.failures)
    notices.connected = True
    publication.announce()
    eventually(lambda: len(notices.said) == 2)


def test_the_goodbye_and_the_last_will_say_the_same(publication: Announcements, notices: FakeNotices) -> None:
    publication.stop()
    will = publication.will()
    assert notices.said == [(will.topic, will.payload, will.retain)]
    assert not from_json(will.payload, ServiceStatus).online


def test_an_asset_whose_file_has_gone_ends_nothing(
    *,
    plant: Any,
    publication: Announcements,
    notices: FakeNotices,
    eventually: Callable[..., None],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "asset").unlink()
    publication.on_status(status(plant, missing_assets=(sha256_of(ASSET),)))
    publication.announce()
    eventually(lambda: TOPIC in notices.topics())
    assert "which cannot be read" in caplog.text
