"""An asset costs about its own size on a thin link, whatever is lost on the way, and verdicts wait for one range."""

import random
from collections import deque
from pathlib import Path
from typing import Any

import pytest

from analytics_service.announcements import Announcements
from edge_node.control.asset_download import SILENCE_SECONDS
from edge_node.control.profile_cache import ProfileCache
from patchline.mqtt.delivery import Acknowledged, Delivery
from patchline.runtime.watchdog import Watchdog
from patchline.wire.messages import (
    AssetChunk,
    AssetReference,
    EdgeStatus,
    Profile,
    ProfileCodec,
    ServiceStatus,
    sealed,
    sha256_of,
    to_json,
    unpack,
)
from patchline.wire.topics import Topics

STATION = "plant/line1/cam1"
STATUS_SECONDS = 0.02
"""From a request to the first byte of its answer."""


class Downlink:
    """The real services, one after another, and a link that carries so many bytes a second."""

    def __init__(self, folder: Path, content: bytes, *, rate: float, services: int = 1) -> None:
        self.sha256 = sha256_of(content)
        (folder / self.sha256).write_bytes(content)
        self.folder, self.rate = folder, rate
        self.connected, self.profiles = True, dict[str, Profile]()
        self.services = [
            Announcements(
                self,
                library=self,
                topics=Topics(),
                birth=ServiceStatus(name=f"service-{number}", online=True),
                topic="t",
                watchdog=Watchdog(),
            )
            for number in range(services)
        ]
        self.waiting: deque[bytes] = deque()
        self.lose = lambda: False
        self.now = self.sent_bytes = self.longest_wait = 0.0
        asset = AssetReference(name="backbone", sha256=self.sha256, size=len(content))
        profile_codec = ProfileCodec(codec="features", artifact="0" * 64, assets=(asset,))
        self.profile = sealed(Profile(station=STATION, input_size=(32, 32), ladder=(profile_codec,)))
        self.cache = ProfileCache(folder / "cache", STATION, clock=lambda: self.now)

    def asset(self, sha256: str) -> Path:
        return self.folder / sha256

    def publish(self, topic: Any, payload: Any, *, on_done: Any = None, **_properties: Any) -> None:  # type: ignore[no-untyped-def]
        assert topic.endswith("/asset")
        self.waiting.append(payload)
        on_done(Acknowledged(accepted=True, reason=""))

    def ask(self) -> None:
        request = self.cache.next_request()
        if request is None:
            return
        status = EdgeStatus(
            station=STATION,
            online=True,
            missing_assets=self.cache.missing,
            missing_ranges=(request.range,),
            asked_service=f"service-{request.silences % len(self.services)}",
        )
        self.now += STATUS_SECONDS
        for service in self.services:
            service.on_status(Delivery(topic=f"vad/v1/{STATION}/status", payload=to_json(status)))
            while len(service._jobs):
                service._step()

    def download(self) -> Profile:
        """Play until the profile is complete."""
        complete = self.cache.offer(self.profile)
        while complete is None:
            self.ask()
            if not self.waiting:
                self.now += SILENCE_SECONDS / 4
                continue
            waits = sum(map(len, self.waiting)) / self.rate
            self.longest_wait = max(self.longest_wait, waits)
            chunk = self.waiting.popleft()
            self.sent_bytes += len(chunk)
            self.now += len(chunk) / self.rate
            if not self.lose():
                made: AssetChunk = unpack(chunk, AssetChunk, limit=300_000)
                complete = self.cache.add(made)
        return complete


@pytest.mark.parametrize(("size", "rate"), [(14_000_000, 100_000.0), (3_000_000, 20_000.0), (14_000_000, 1e8)])
def test_an_asset_costs_its_size_and_a_verdict_waits_less_than_half_a_second(
    tmp_path: Path, size: int, rate: float
) -> None:
    link = Downlink(tmp_path, random.Random(1).randbytes(size), rate=rate)
    assert link.download() == link.profile
    assert link.sent_bytes < 1.05 * size
    assert link.longest_wait < max(0.5, 20_000 / rate)
    assert link.now < 1.35 * size / rate + 10.0


def test_what_is_lost_is_asked_for_again_and_nothing_else(tmp_path: Path) -> None:
    link = Downlink(tmp_path, random.Random(2).randbytes(2_000_000), rate=100_000.0)
    rng = random.Random(3)
    link.lose = lambda: rng.random() < 0.1
    assert link.download() == link.profile
    assert link.sent_bytes < 1.4 * 2_000_000


def test_one_of_several_services_answers_and_another_when_that_one_is_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = Downlink(tmp_path, random.Random(4).randbytes(1_000_000), rate=100_000.0, services=3)
    monkeypatch.setattr(link.services[0], "on_status", lambda _: None)
    assert link.download() == link.profile
    assert link.sent_bytes < 1.1 * 1_000_000


def test_an_empty_asset_is_complete_with_its_first_chunk(tmp_path: Path) -> None:
    link = Downlink(tmp_path, b"", rate=100_000.0)
    assert link.download() == link.profile


def test_a_request_that_was_not_published_is_due_again_at_once(tmp_path: Path) -> None:
    link = Downlink(tmp_path, b"content", rate=100_000.0)
    link.cache.offer(link.profile)
    first = link.cache.next_request()
    assert first is not None
    assert link.cache.next_request() is None
    link.cache.not_asked()
    assert link.cache.next_request() == first
