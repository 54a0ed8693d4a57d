"""The service as a real process on a real Mosquitto: every part gets one verdict, whatever is killed meanwhile."""

import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from patchline.commissioning.commission import commission
from patchline.mqtt.delivery import Delivery
from patchline.mqtt.link import Link
from patchline.mqtt.settings import LinkSettings, Subscription
from patchline.replay.broker import Broker, free_port
from patchline.wire.errors import UnavailableError
from patchline.wire.messages import (
    DropReceipt,
    FrameMessage,
    MapMessage,
    Profile,
    Receipt,
    ServiceStatus,
    Verdict,
    from_json,
    pack,
    sha256_of,
    unpack,
)

pytestmark = pytest.mark.broker

RUN = """
import logging, pathlib, sys
from analytics_service import app, settings
logging.basicConfig(level=logging.DEBUG)
app.run(settings.read_settings(pathlib.Path(sys.argv[1])))
"""


class Edge:
    """An edge node as plain as can be: it keeps every message and sends it again until its receipt comes."""

    def __init__(self, broker: Broker, plant: Any) -> None:
        self.plant = plant
        self.heard: dict[str, list[bytes]] = defaultdict(list)
        self._live = threading.Event()
        self._link = Link(
            LinkSettings(
                host=broker.host, port=broker.port, client_id="edge", max_inflight=16, protocol=broker.protocol
            ),
            subscriptions=(Subscription(f"{plant.topics.prefix}/#"),),
            on_delivery=self._on_delivery,
            on_connected=lambda _: self._live.set(),
            on_disconnected=lambda _: self._live.clear(),
        )

    def start(self) -> None:
        self._link.start()

    def stop(self) -> None:
        self._link.stop(2.0)

    def _on_delivery(self, delivery: Delivery) -> None:
        self.heard[delivery.topic].append(delivery.payload)
        delivery.acknowledge()

    def channel(self, name: str) -> list[bytes]:
        return self.heard[self.plant.topic(name)]

    def receipts(self) -> list[Verdict | DropReceipt]:
        return [from_json(payload, Receipt) for payload in self.channel("verdict")]

    def verdict_of(self, inspection_id: str) -> Verdict | DropReceipt | None:
        return next((each for each in self.receipts() if each.inspection_id == inspection_id), None)

    def send(self, payload: bytes, channel: str = "frame") -> None:
        try:
            self._link.publish(self.plant.topic(channel), payload)
        except UnavailableError:
            self._live.wait(0.1)

    def send_until_judged(self, frames: list[FrameMessage], *, within_seconds: float = 150.0) -> None:
        deadline = time.monotonic() + within_seconds
        while True:
            answered = {receipt.inspection_id for receipt in self.receipts()}
            waiting = [frame for frame in frames if frame.inspection_id not in answered]
            if not waiting:
                return
            assert time.monotonic() < deadline, f"{len(waiting)} parts have no verdict"
            for frame in waiting:
                self.send(pack(frame))
                time.sleep(0.01)
            time.sleep(0.2)


class Service:
    """The analytics service as a process of its own."""

    def __init__(self, broker: Broker, plant: Any, folder: Path, **settings: str) -> None:
        name = settings.get("name", "analytics")
        self.records = folder / "records.db"
        self.metrics_port = free_port()
        self.log = folder / f"{name}.log"
        self._config = folder / f"{name}.toml"
        top = {"artifacts": str(plant.artifacts), "metrics_port": self.metrics_port, **settings}
        lines = [f"{key} = {value!r}" for key, value in top.items()]
        lines += ["[broker]", f"host = {broker.host!r}", f"port = {broker.port}", "keepalive_seconds = 5"]
        lines += [f"protocol = {broker.protocol!r}"]
        lines += ["[records]", f"url = 'sqlite:///{self.records}'", "[worker]", "maps = 'all'"]
        self._config.write_text("\n".join(lines))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([sys.executable, "-c", RUN, str(self._config)], stdout=log, stderr=log)

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60.0)

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with sqlite3.connect(self.records) as connection:
            return connection.execute(query).fetchall()


@contextmanager
def running(broker: Broker, plant: Any, folder: Path) -> Iterator[tuple[Service, Edge]]:
    service, edge = Service(broker, plant, folder), Edge(broker, plant)
    edge.start()
    service.start()
    try:
        yield service, edge
    finally:
        edge.stop()
        service.stop()


@pytest.fixture
def line(mosquitto: Broker, plant: Any, tmp_path: Path) -> Iterator[tuple[Service, Edge]]:
    with running(mosquitto, plant, tmp_path) as pair:
        yield pair


def test_a_frame_becomes_a_verdict_and_a_map(line: Any, plant: Any, eventually: Callable[..., None]) -> None:
    service, edge = line
    good, bad = plant.frame(1), plant.frame(2, defect=True)
    edge.send_until_judged([good, bad])
    verdicts = {each.inspection_id: each for each in edge.receipts() if isinstance(each, Verdict)}
    assert verdicts[good.inspection_id].outcome == "normal"
    assert verdicts[bad.inspection_id].outcome == "anomalous"
    peak = verdicts[bad.inspection_id].peak
    assert peak is not None
    assert abs(peak[0] - 0.53) < 0.15
    assert abs(peak[1] - 0.47) < 0.15
    assert set(verdicts[bad.inspection_id].stages) == {"queue", "decode", "embed", "search", "render"}
    eventually(lambda: len(edge.channel("map")) >= 2)
    maps: list[MapMessage] = [unpack(payload, MapMessage) for payload in edge.channel("map")]
    assert {each.inspection_id for each in maps} == {good.inspection_id, bad.inspection_id}
    assert service.stop() == 0


def test_the_service_announces_itself_and_the_profile_and_says_goodbye(
    line: Any, plant: Any, eventually: Callable[..., None]
) -> None:
    service, edge = line
    status = plant.topics.service_status("plant", "analytics")
    eventually(lambda: edge.heard[status])
    assert from_json(edge.heard[status][-1], ServiceStatus).online
    profile: Profile = unpack(edge.channel("profile")[-1], Profile)
    assert profile == plant.made.profile
    assert service.stop() == 0
    eventually(lambda: not from_json(edge.heard[status][-1], ServiceStatus).online)


def test_a_killed_service_is_reported_dead_by_its_last_will(
    line: Any, plant: Any, eventually: Callable[..., None]
) -> None:
    service, edge = line
    status = plant.topics.service_status("plant", "analytics")
    eventually(lambda: edge.heard[status])
    service.kill()
    eventually(lambda: not from_json(edge.heard[status][-1], ServiceStatus).online)


def test_poison_never_blocks_the_line(line: Any, plant: Any, eventually: Callable[..., None]) -> None:
    service, edge = line
    edge.send_until_judged([plant.frame(0)])
    poison = [b"", b"\xff" * 1000, pack(plant.frame(1))[:-9], pack(plant.frame(2, payload=b"damaged"))]
    for payload in poison:
        edge.send(payload)
    edge.send_until_judged([plant.frame(3)])
    eventually(lambda: len({each.received_sha256 for each in edge.receipts() if each.outcome == "unreadable"}) == 4)
    unreadable = {each.received_sha256 for each in edge.receipts() if each.outcome == "unreadable"}
    assert unreadable == {sha256_of(payload) for payload in poison}
    eventually(lambda: len(edge.channel("unreadable")) == 4)
    assert set(edge.channel("unreadable")) == set(poison)
    assert {row[0] for row in service.rows("SELECT received FROM dead_letters")} == set(poison)


def test_a_drop_is_recorded_and_receipted(line: Any, plant: Any, eventually: Callable[..., None]) -> None:
    service, edge = line
    edge.send_until_judged([plant.frame(0)])
    drop = plant.drop(5)
    edge.send(pack(drop))
    eventually(lambda: edge.verdict_of(drop.inspection_id))
    receipt = edge.verdict_of(drop.inspection_id)
    assert isinstance(receipt, DropReceipt)
    assert receipt.reason == "capture_failed"
    assert service.rows("SELECT sequence, result FROM outcomes WHERE kind = 'drop'") == [(5, "capture_failed")]


def test_a_historical_part_is_judged_and_marked(line: Any, plant: Any, eventually: Callable[..., None]) -> None:
    _, edge = line
    edge.send_until_judged([plant.frame(0)])
    frame = plant.frame(1)
    edge.send(pack(frame), "backlog")
    eventually(lambda: edge.verdict_of(frame.inspection_id))
    verdict = edge.verdict_of(frame.inspection_id)
    assert isinstance(verdict, Verdict)
    assert verdict.historical


def test_ten_copies_of_a_part_get_ten_times_the_same_bytes(
    line: Any, plant: Any, eventually: Callable[..., None]
) -> None:
    service, edge = line
    edge.send_until_judged([plant.frame(0)])
    frame = plant.frame(1)
    for _ in range(10):
        edge.send(pack(frame))

    def copies() -> list[bytes]:
        said = zip(edge.receipts(), edge.channel("verdict"), strict=False)
        return [payload for receipt, payload in said if receipt.inspection_id == frame.inspection_id]

    eventually(lambda: len(copies()) == 10)
    assert len(set(copies())) == 1
    assert service.rows("SELECT count(*) FROM outcomes WHERE kind = 'verdict'") == [(2,)]


def test_a_restarted_service_repeats_its_verdicts_byte_for_byte(line: Any, plant: Any) -> None:
    service, edge = line
    frame = plant.frame(1)
    edge.send_until_judged([frame])
    before = edge.channel("verdict")[-1]
    assert service.stop() == 0
    edge.channel("verdict").clear()
    service.start()
    edge.send_until_judged([frame])
    assert set(edge.channel("verdict")) == {before}


def test_sigterm_finishes_what_was_admitted(line: Any, plant: Any, eventually: Callable[..., None]) -> None:
    """Whatever is on record when the service has gone has been said before it went."""
    service, edge = line
    edge.send_until_judged([plant.frame(0)])
    for number in range(1, 16):
        edge.send(pack(plant.frame(number)))
    eventually(lambda: len(edge.channel("verdict")) > 1)
    assert service.stop() == 0
    (recorded,) = service.rows("SELECT count(*) FROM outcomes WHERE kind = 'verdict'")[0]
    # Ids, because a part that was sent twice before its answer came is answered twice.
    eventually(lambda: len({receipt.inspection_id for receipt in edge.receipts()}) == recorded)


def test_the_metrics_tell_what_happened(line: Any, plant: Any) -> None:
    service, edge = line
    edge.send_until_judged([plant.frame(0), plant.frame(1, defect=True)])
    with urllib.request.urlopen(f"http://127.0.0.1:{service.metrics_port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    assert 'vad_analytics_verdicts_total{outcome="anomalous"} 1.0' in text
    assert 'vad_analytics_connected{link="live"} 1.0' in text
    assert "vad_analytics_unaccounted_parts" in text
    assert 'vad_analytics_connected{link="backlog"} 1.0' in text
    assert f'artifact="{plant.made.commissioned_codecs[0].artifact.fingerprint[:12]}"' in text


def test_readiness_tells_of_a_broker_that_is_away_and_liveness_does_not(
    line: Any, plant: Any, mosquitto: Broker, eventually: Callable[..., None]
) -> None:
    service, edge = line
    edge.send_until_judged([plant.frame(0)])

    def says(path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{service.metrics_port}/{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    eventually(lambda: says("readyz") == (200, "ok\n"))
    mosquitto.kill()
    away = "not connected to the broker\nthe backlog's link is not connected\n"
    eventually(lambda: says("readyz") == (503, away))
    assert says("healthz") == (200, "ok\n")
    mosquitto.restart()
    eventually(lambda: says("readyz") == (200, "ok\n"))


def test_a_running_service_takes_up_new_artifacts_and_still_judges_for_the_old_ones(
    mosquitto: Broker, plant: Any, request_for: Any, tmp_path: Path, eventually: Callable[..., None]
) -> None:
    artifacts = tmp_path / "artifacts"
    shutil.copytree(plant.artifacts, artifacts)
    service = Service(mosquitto, plant, tmp_path, artifacts=str(artifacts), reload_seconds="0.2")
    edge = Edge(mosquitto, plant)
    edge.start()
    service.start()
    try:
        edge.send_until_judged([plant.frame(0)])
        made = commission(request_for(artifacts, codecs=("webp:80",), seed=7), on_progress=lambda *_: None)
        fingerprint = made.commissioned_codecs[0].artifact.fingerprint
        assert fingerprint != plant.made.commissioned_codecs[0].artifact.fingerprint
        eventually(lambda: unpack(edge.channel("profile")[-1], Profile) == made.profile)
        edge.send_until_judged([plant.frame(1), plant.frame(2, artifact=fingerprint)])
        judged = {each.sequence: each.artifact for each in edge.receipts() if isinstance(each, Verdict)}
        assert judged[1] == plant.made.commissioned_codecs[0].artifact.fingerprint
        assert judged[2] == fingerprint
        assert service.stop() == 0
    finally:
        edge.stop()
        service.stop()


def test_without_records_nothing_is_answered(line: Any, plant: Any, eventually: Callable[..., None]) -> None:
    """The records' table vanishes under the running service: no part may be answered without it."""
    service, edge = line
    edge.send_until_judged([plant.frame(0)])
    service.rows("DROP TABLE outcomes")
    edge.send(pack(plant.frame(1)))
    eventually(lambda: "trying again" in service.log.read_text())
    assert edge.verdict_of(plant.frame(1).inspection_id) is None


def test_a_broker_of_mqtt_3_1_1_is_enough(plant: Any, tmp_path: Path) -> None:
    with Broker(tmp_path / "broker", kind="amqtt") as broker, running(broker, plant, tmp_path) as (service, edge):
        edge.send_until_judged([plant.frame(number) for number in range(5)])
        assert len(service.rows("SELECT * FROM outcomes WHERE kind = 'verdict'")) == 5


@pytest.mark.slow
def test_two_workers_share_the_parts_and_one_of_them_is_killed_again_and_again(
    mosquitto: Broker, plant: Any, tmp_path: Path
) -> None:
    services = [Service(mosquitto, plant, tmp_path, name=name, shared_group="workers") for name in ("one", "two")]
    edge = Edge(mosquitto, plant)
    edge.start()
    for service in services:
        service.start()
    frames = [plant.frame(number, defect=number % 5 == 0) for number in range(60)]
    sender = threading.Thread(target=edge.send_until_judged, args=(frames,))
    try:
        edge.send_until_judged(frames[:1])
        sender.start()
        for _ in range(3):
            services[1].kill()
            services[1].start()
            time.sleep(1.5)
        sender.join(160.0)
        assert not sender.is_alive()
    finally:
        edge.stop()
        for service in services:
            service.stop()
    check_one_verdict_each(edge, services[0], frames)


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["service", "broker"])
def test_every_part_gets_one_verdict_though_the_victim_is_killed_again_and_again(
    victim: str, line: Any, plant: Any, mosquitto: Broker
) -> None:
    service, edge = line
    frames = [plant.frame(number, defect=number % 5 == 0) for number in range(60)]
    edge.send_until_judged(frames[:1])
    rng = random.Random(4)
    sender = threading.Thread(target=edge.send_until_judged, args=(frames,))
    sender.start()
    for _ in range(4):
        time.sleep(rng.uniform(0.1, 0.6))
        if victim == "service":
            service.kill()
            service.start()
        else:
            mosquitto.kill()
            mosquitto.restart()
        time.sleep(rng.uniform(1.0, 2.0))
    sender.join(160.0)
    assert not sender.is_alive()
    check_one_verdict_each(edge, service, frames)


def check_one_verdict_each(edge: Edge, service: Service, frames: list[FrameMessage]) -> None:
    """However often a verdict was published, it was the same bytes each time, and it is recorded once."""
    said: dict[str, set[bytes]] = defaultdict(set)
    for payload in edge.channel("verdict"):
        receipt: Verdict = from_json(payload, Verdict)
        said[receipt.inspection_id].add(payload)
    assert set(said) == {frame.inspection_id for frame in frames}
    assert {len(different) for different in said.values()} == {1}
    assert service.rows("SELECT count(*) FROM outcomes WHERE kind = 'verdict'") == [(len(frames),)]
