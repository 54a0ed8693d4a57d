"""Feature maps over a real Mosquitto: a station without weights fetches what it needs and gets its verdicts."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest
from PIL import Image

from edge_node.control.profile_cache import ProfileCache
from edge_node.outbox.journal import JournalLine, read_journal
from patchline.commissioning.commission import Request, commission
from patchline.commissioning.commissioned import Commissioned
from patchline.mqtt.delivery import Delivery
from patchline.mqtt.link import Link
from patchline.mqtt.settings import LinkSettings, Subscription
from patchline.replay.broker import Broker
from patchline.replay.processes import Program
from patchline.replay.settings_files import toml
from patchline.wire.messages import MAX_ASSET_CHUNK_BYTES, EdgeStatus, ProfileCodec, from_json, pack, sealed
from patchline.wire.topics import Station, Topics

pytestmark = [pytest.mark.broker, pytest.mark.slow]

STATION, TOPICS = Station("plant", "line1", "cam1"), Topics()
PARTS = 6


class Floor:
    """A broker with a service and one station, each a process of its own; what passes is written down.

    Attributes:
        heard: Topic -> payloads.
    """

    def __init__(self, broker: Broker, folder: Path, stack: ExitStack) -> None:
        self.broker, self.folder, self._stack = broker, folder, stack
        self.heard: list[Delivery] = []
        self.link = Link(
            LinkSettings(port=broker.port, client_id="stranger"),
            subscriptions=[Subscription(f"{TOPICS.prefix}/#")],
            on_delivery=self._hear,
            on_connected=lambda _: None,
            on_disconnected=lambda _: None,
        )
        stack.callback(self.link.stop, 2.0)
        self.link.start()
        assert self.link.wait_connected(60.0)

    def _hear(self, delivery: Delivery) -> None:
        self.heard.append(delivery)
        delivery.acknowledge()

    def on(self, channel: Any) -> list[bytes]:
        return [each.payload for each in list(self.heard) if each.topic == TOPICS.of(STATION, channel)]

    def statuses(self) -> list[EdgeStatus]:
        return [from_json(payload, EdgeStatus) for payload in self.on("status")]

    def service(self, artifacts: Path) -> Program:
        settings = {
            "artifacts": artifacts,
            "broker": {"port": self.broker.port},
            "records": {"url": f"sqlite:///{self.folder / 'records.db'}"},
        }
        return self._started("serve", settings)

    def edge(self, pictures: Path, **more: Any) -> Program:
        """A station whose only weights are the packaged ones."""
        settings = {
            "station": str(STATION),
            "finish_when_drained": True,
            "finish_seconds": 60,
            "source": {"kind": "folder", "directory": pictures},
            "trigger": {"takt_seconds": 0.05},
            "broker": {"port": self.broker.port},
            "outbox": {"path": self.folder / "outbox.sqlite"},
            "profile": {"directory": self.folder / "profile"},
            **more,
        }
        bare = {"PATCHLINE_WEIGHTS": "", "XDG_CACHE_HOME": str(self.folder / "no-cache")}
        return self._started("edge", settings, bare)

    def journal(self) -> list[JournalLine]:
        return list(read_journal(self.folder / "outbox.sqlite"))

    def _started(self, verb: str, settings: dict[str, Any], environment: dict[str, str] | None = None) -> Program:
        path = self.folder / f"{verb}.toml"
        path.write_text(toml(settings))
        program = Program(verb, [verb, "--config", str(path)], self.folder / f"{verb}.log", environment)
        self._stack.callback(program.stop)
        program.start()
        return program


@pytest.fixture
def floor(mosquitto: Broker, tmp_path: Path) -> Iterator[Floor]:
    with ExitStack() as stack:
        yield Floor(mosquitto, tmp_path, stack)


@pytest.fixture
def heavy_weights(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store_heavy: Any) -> Path:
    """The tiny backbone in a file of several chunks."""
    assert weights
    store_heavy(tmp_path / "weights", ballast_bytes=2 * MAX_ASSET_CHUNK_BYTES)
    monkeypatch.setenv("PATCHLINE_WEIGHTS", str(tmp_path / "weights"))
    return tmp_path / "weights"


@pytest.fixture
def made(heavy_weights: Path, request_for: Callable[..., Request], tmp_path: Path) -> Commissioned:
    assert heavy_weights.is_dir()
    request = request_for(tmp_path / "artifacts", codecs=("features", "webp:80"))
    return commission(request, on_progress=lambda *_: None)


@pytest.fixture
def parts(plant: Any, tmp_path: Path) -> Path:
    folder = tmp_path / "parts"
    folder.mkdir()
    for number in range(PARTS):
        Image.fromarray(plant.picture(number, defect=number % 2 == 1)).save(folder / f"{number:03}.png")
    return folder


def test_a_station_without_weights_fetches_them_in_chunks_and_gets_every_verdict(
    floor: Floor, made: Commissioned, parts: Path, eventually: Callable[..., None]
) -> None:
    service = floor.service(made.out)
    edge = floor.edge(parts)
    eventually(lambda: not edge.running)
    assert edge.exit_code == 0, edge.last_words()
    wanted = {asset.sha256 for asset in made.profile.ladder[0].assets}
    assert any(set(status.missing_assets) == wanted for status in floor.statuses())
    assert len(floor.on("asset")) > len(wanted), "one of them takes several chunks"
    lines = floor.journal()
    assert [line.outcome for line in lines] == ["normal", "anomalous"] * (PARTS // 2)
    steps = {"resize", "backbone", "encode", "decode", "embed", "search", "render", "transmission"}
    assert all(line.stages.keys() >= steps for line in lines)
    assert service.running

    service.kill()
    floor.broker.kill()
    cached = ProfileCache(floor.folder / "profile", str(STATION)).load()
    assert cached == made.profile, "the next boot needs neither broker nor service"


def test_a_station_boots_and_encodes_without_a_broker(
    floor: Floor, made: Commissioned, parts: Path, eventually: Callable[..., None]
) -> None:
    service = floor.service(made.out)
    edge = floor.edge(parts)
    eventually(lambda: not edge.running)
    service.stop()
    floor.broker.kill()
    later = floor.edge(parts, finish_seconds=1)
    eventually(lambda: not later.running)
    assert "every inspection" not in later.last_words()
    log = later.log.read_text()
    assert f"{PARTS} inspections still wait" in log, log


def test_a_profile_that_does_not_fit_is_told_on_the_status(
    floor: Floor, made: Commissioned, parts: Path, eventually: Callable[..., None]
) -> None:
    profile_codec = made.profile.ladder[0]
    strange = msgspec.structs.replace(profile_codec, assets=())
    profile = sealed(msgspec.structs.replace(made.profile, ladder=(strange,)))
    floor.link.publish(TOPICS.of(STATION, "profile"), pack(profile), retain=True)
    floor.edge(parts, profile={"directory": floor.folder / "profile", "wait_seconds": 20})
    eventually(lambda: any("without the asset" in status.error for status in floor.statuses()))
    good = sealed(msgspec.structs.replace(made.profile, ladder=(ProfileCodec(codec="png", artifact="a" * 64),)))
    floor.link.publish(TOPICS.of(STATION, "profile"), pack(good), retain=True)
    eventually(lambda: any(status.codec == "png" for status in floor.statuses()))
    assert json.loads(floor.on("status")[-1])["online"]
