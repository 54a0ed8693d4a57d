"""What the edge node's tests share: an outbox, a profile, and a service small enough to read at a glance."""

import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import numpy as np
import pytest
from PIL import Image

from edge_node.app import run
from edge_node.assembly import Stops
from edge_node.outbox.journal import JournalLine, read_journal
from edge_node.outbox.outbox import Outbox
from edge_node.outbox.rows import Trigger
from edge_node.settings import EdgeSettings
from patchline.mqtt.delivery import Delivery
from patchline.mqtt.link import Link
from patchline.mqtt.settings import LinkSettings, Subscription
from patchline.replay.broker import Broker
from patchline.wire.errors import UnreadableError
from patchline.wire.messages import (
    DropMessage,
    DropReceipt,
    EdgeMessage,
    FrameMessage,
    Profile,
    ProfileCodec,
    ServiceStatus,
    Verdict,
    pack,
    sealed,
    sha256_of,
    to_json,
    unpack,
)
from patchline.wire.topics import Station, Topics

STATION = "plant/line1/cam1"
ARTIFACT = "a" * 64
TOPICS = Topics()


def profile_of(station: str, *codecs: str) -> Profile:
    ladder = tuple(ProfileCodec(codec=codec, artifact=ARTIFACT) for codec in codecs or ("png", "webp:80"))
    return sealed(Profile(station=station, input_size=(32, 32), ladder=ladder))


def make_one_trigger(part_id: str | None = "part", captured_monotonic: float = 0.0) -> Trigger:
    return Trigger(inspection_id=str(uuid4()), part_id=part_id, captured_at=1.0, captured_monotonic=captured_monotonic)


@pytest.fixture
def make_profile() -> Callable[..., Profile]:
    """A sealed profile of image codecs: `make_profile("png", "webp:80")`."""
    return lambda *codecs, station=STATION: profile_of(station, *codecs)


@pytest.fixture
def make_trigger() -> Callable[..., Trigger]:
    """A trigger with an inspection id of its own."""
    return make_one_trigger


@pytest.fixture
def answer() -> Callable[..., bytes]:
    """The tiny service's answer to a message."""
    return answer_to


@pytest.fixture
def open_outbox(tmp_path: Path) -> Iterator[Callable[..., Outbox]]:
    """Opens the test's outbox; call it again after `close` to play a reboot."""
    opened: list[Outbox] = []

    def opener(boot_id: str = "boot", budget_bytes: int = 10_000_000, journal_lines: int = 1000) -> Outbox:
        outbox = Outbox(
            tmp_path / "outbox.sqlite",
            STATION,
            boot_id=boot_id,
            clock_id="clock",
            budget_bytes=budget_bytes,
            journal_lines=journal_lines,
        )
        opened.append(outbox)
        return outbox

    yield opener
    for outbox in opened:
        outbox.close()


@pytest.fixture
def picture_folder(tmp_path: Path) -> Path:
    """Eight small pictures, part-0.png to part-7.png."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(7)
    for number in range(8):
        Image.fromarray(rng.integers(0, 256, (40, 48, 3), dtype=np.uint8)).save(folder / f"part-{number}.png")
    return folder


class TinyService:
    """Answers every part at once, the same part always with the same bytes; nothing is judged.

    Attributes:
        answers: Whether parts are answered; the deliveries of those that are not are acknowledged all the same.
        seen: Every message that arrived, with its channel, in order.
    """

    def __init__(self, broker: Broker, *, name: str = "tiny", instance: str = "one") -> None:
        self._name, self._instance = name, instance
        self._link = Link(
            LinkSettings(port=broker.port, client_id=f"{name}-{instance}", max_inflight=200, protocol=broker.protocol),
            subscriptions=[Subscription(TOPICS.every("frame")), Subscription(TOPICS.every("backlog"))],
            on_delivery=self._put,
            on_connected=lambda _: self._inbox.put(None),
            on_disconnected=lambda _: None,
        )
        self._inbox: queue.SimpleQueue[Delivery | None] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tiny-service")
        self._stored: dict[str, bytes] = {}
        self.profiles: dict[str, Profile] = {}
        self.answers = True
        self.seen: list[tuple[str, EdgeMessage]] = []
        self.damage: Callable[[bytes], bytes] = lambda payload: payload

    def _put(self, delivery: Delivery) -> None:
        self._inbox.put(delivery)

    def __enter__(self) -> Self:
        self._link.start()
        self._thread.start()
        assert self._link.wait_connected(60.0)
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def leave(self) -> None:
        """Go away; repeating it does nothing."""
        self._stop.set()
        self._thread.join()
        self._link.stop(2)

    def publish_profile(self, profile: Profile) -> None:
        self.profiles[profile.station] = profile
        topic = TOPICS.of(Station.parse(profile.station), "profile")
        self._link.publish(topic, pack(profile), retain=True)

    def send(self, topic: str, payload: bytes) -> None:
        self._link.publish(topic, payload)

    def parts(self) -> list[str]:
        return [message.part_id for _, message in list(self.seen)]

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                delivery = self._inbox.get(timeout=0.05)
            except queue.Empty:
                continue
            if delivery is None:
                self._be_born()
            else:
                self._take(delivery)
                delivery.acknowledge()

    def _be_born(self) -> None:
        status = ServiceStatus(name=self._name, online=True, instance=self._instance)
        for site in ("plant", "test"):
            self._link.publish(TOPICS.service_status(site, self._name), to_json(status), retain=True)
        for profile in list(self.profiles.values()):
            self.publish_profile(profile)

    def _take(self, delivery: Delivery) -> None:
        station, channel = TOPICS.parse(delivery.topic)
        payload = self.damage(delivery.payload)
        try:
            message: EdgeMessage = unpack(payload, EdgeMessage)
        except UnreadableError as error:
            known: EdgeMessage = unpack(delivery.payload, EdgeMessage)
            self.send(TOPICS.of(station, "verdict"), to_json(unreadable(known, payload, error.reason)))
            return
        self.seen.append((channel, message))
        if self.answers:
            answer = self._stored.setdefault(message.inspection_id, answer_to(message, payload, channel))
            self.send(TOPICS.of(station, "verdict"), answer)


def identity_of(message: EdgeMessage) -> dict[str, object]:
    names = ("inspection_id", "station", "boot_id", "sequence", "part_id", "captured_at")
    return {name: getattr(message, name) for name in names}


def answer_to(message: EdgeMessage, payload: bytes, channel: str = "frame", outcome: str = "normal") -> bytes:
    if isinstance(message, DropMessage):
        return to_json(DropReceipt(**identity_of(message), reason=message.reason))  # type: ignore[arg-type]
    assert isinstance(message, FrameMessage)
    return to_json(
        Verdict(
            **identity_of(message),  # type: ignore[arg-type]
            outcome=outcome,  # type: ignore[arg-type]
            received_sha256=sha256_of(payload),
            score=0.5,
            threshold=1.0,
            historical=channel == "backlog",
            server_seconds=0.001,
            stages={"admit": 0.001},
        )
    )


def unreadable(message: EdgeMessage, payload: bytes, reason: str = "damaged") -> Verdict:
    return Verdict(
        **identity_of(message),  # type: ignore[arg-type]
        outcome="unreadable",
        received_sha256=sha256_of(payload),
        reason=reason,
    )


@pytest.fixture
def tiny() -> type[TinyService]:
    """The service itself, for a broker of the test's own."""
    return TinyService


@pytest.fixture
def new_service(mosquitto: Broker) -> Iterator[Callable[..., TinyService]]:
    """Starts a service; another instance plays its restart."""
    with ExitStack() as running:

        def start(instance: str = "one") -> TinyService:
            return running.enter_context(TinyService(mosquitto, instance=instance))

        yield start


@pytest.fixture
def service(new_service: Callable[..., TinyService]) -> TinyService:
    """A service that has published the station's profile."""
    running = new_service()
    running.publish_profile(profile_of(STATION))
    return running


class Running:
    """A station in a thread."""

    def __init__(self, settings: EdgeSettings) -> None:
        self.stops = Stops(threading.Event(), threading.Event())
        self.code: int | None = None
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(settings,), name="edge under test")

    def _run(self, settings: EdgeSettings) -> None:
        try:
            self.code = run(settings, self.stops)
        except BaseException as failure:  # noqa: BLE001  handed to the test
            self.failure = failure

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stops.capture.set()
        self._thread.join()

    def wait(self, seconds: float = 120.0) -> int | None:
        self._thread.join(seconds)
        assert not self._thread.is_alive()
        if self.failure is not None:
            raise self.failure
        return self.code


@pytest.fixture
def start_edge() -> Iterator[Callable[[EdgeSettings], Running]]:
    """Runs a station in a thread; stopped at the end of the test."""
    with ExitStack() as running:
        yield lambda settings: running.enter_context(Running(settings))


@pytest.fixture
def settings_for(mosquitto: Broker, tmp_path: Path) -> Callable[..., EdgeSettings]:
    """A station's settings: a source, and whatever else differs; a slow answer is not asked for again."""

    def settings(source: dict[str, Any], **other: Any) -> EdgeSettings:
        tables: dict[str, Any] = {
            "station": STATION,
            "source": source,
            "trigger": {"takt_seconds": 0.02},
            "send": {"first_resend_seconds": 100},
            "broker": {"port": mosquitto.port},
            "outbox": {"path": tmp_path / "edge" / "outbox.sqlite"},
            "profile": {"directory": tmp_path / "edge" / "profile"},
            "finish_when_drained": True,
            "finish_seconds": 120,
        }
        return EdgeSettings(**{**tables, **other})

    return settings


@pytest.fixture
def journal(tmp_path: Path) -> Callable[[], list[JournalLine]]:
    return lambda: list(read_journal(tmp_path / "edge" / "outbox.sqlite"))


@pytest.fixture
def outbox_rows(tmp_path: Path) -> Callable[[str], list[tuple[Any, ...]]]:
    """`outbox_rows(query)`: what a stranger reads in the running station's outbox; nothing before there is one."""
    path = tmp_path / "edge" / "outbox.sqlite"

    def rows(query: str) -> list[tuple[Any, ...]]:
        with suppress(sqlite3.OperationalError), closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as opened:
            return opened.execute(query).fetchall()
        return []

    return rows
