"""Whatever bytes arrive, on whatever topic: both sides read on, answer or refuse at once, and stay within their memory.

Everything behind the network thread is real: an assembled edge node with its outbox on a disk, a worker with its shelf
and records. Nobody is connected, so what they would publish is refused by the link or written down.
"""

import copy
import itertools
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from analytics_service.announcements import Announcements
from analytics_service.audit.auditor import Auditor
from analytics_service.inspection.part_counts import PartCounts
from analytics_service.inspection.pipeline import Pipeline
from analytics_service.inspection.recorder import OutcomeRecorder
from analytics_service.inspection.reply_publisher import ReplyPublisher
from analytics_service.inspection.scoring import PartScorer
from analytics_service.metrics import Metrics
from analytics_service.records.records import Records
from edge_node.assembly import Stops, assemble
from edge_node.outbox.rows import Trigger
from edge_node.settings import EdgeSettings
from patchline.artifacts.engines import EngineCache
from patchline.artifacts.store import ArtifactStore, open_store
from patchline.mqtt.delivery import Acknowledged, Delivery
from patchline.pictures.files import open_picture
from patchline.replay.part_pictures import drawn_map
from patchline.runtime.watchdog import Watchdog
from patchline.vision.codecs.lookup import codec_of
from patchline.wire import messages as m
from patchline.wire.errors import UnreadableError
from patchline.wire.topics import Topics
from tests.rigs.torture.ground import CODEC, SIZE, STATION, Ground

TOPICS = Topics()
MOST_SECONDS = 5.0
"""No input may take longer; the slowest took 0.1 on a busy machine. It catches what hangs, not what is slow."""
MOST_BYTES = 48 * 1024 * 1024
KEPT_BYTES = 16 * 1024 * 1024

BOUNDED = settings(
    deadline=None, max_examples=80, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

NASTY: list[Any] = [
    None, True, -1, 0, 2**63 - 1, 2**63, -(2**63), 1e308, -1e308, float("nan"), float("inf"), "", "\0", "x" * 257,
    "x" * 3000, "\U0001f9a0" * 200, b"", b"\0" * 2000, [], {}, [[[[[[]]]]]], {"": {"": {}}}, ["a"] * 5000, "webp:80",
    "webp:-1", "webp:" + "9" * 4000, "features", "features:999", "../../etc/passwd", "a/b/c", "0" * 64, "f" * 64,
    "00000000-0000-0000-0000-000000000000", [0, 0], [8192, 8192], [16, 16], "use_codec", "pause", "resume", "frame",
    "drop", "verdict", "unreadable", "normal", "drop_receipt", "superseded",
]  # fmt: skip
SHARES = st.floats(0, 1)
"""Places are drawn as shares, for a message's length may change by a digit from one example to the next."""
_names = itertools.count(1)


def _walk(content: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in items:
        yield from _walk(value, (*path, key))


def _planted(content: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    whole = copy.deepcopy(content)
    place = whole
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return whole


@st.composite
def spoiled(draw: Callable[..., Any], valid: bytes, *, json: bool) -> bytes:
    """Any bytes, a valid message with damage, or one with a nasty value planted anywhere in it."""
    way = draw(st.integers(0, 4))
    if way == 0:
        return draw(st.binary(max_size=2048))
    if way == 1:
        return valid[: int(draw(SHARES) * len(valid))] + draw(st.binary(max_size=32))
    if way == 2:
        place, length = int(draw(SHARES) * len(valid)), draw(st.integers(0, 64))
        return valid[:place] + draw(st.binary(max_size=64)) + valid[place + length :]
    codec = msgspec.json if json else msgspec.msgpack
    content = codec.decode(valid)
    for _ in range(way - 2):
        paths = list(_walk(content))[1:]
        content = _planted(content, draw(st.sampled_from(paths)), draw(st.sampled_from(NASTY)))
        if not isinstance(content, (dict, list)) or not content:
            break
    return codec.encode(content)


@contextmanager
def within_bounds() -> Iterator[None]:
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    began = time.process_time()
    yield
    seconds = time.process_time() - began
    after, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seconds < MOST_SECONDS
    assert peak - before < MOST_BYTES
    assert after - before < KEPT_BYTES


@pytest.fixture(scope="module")
def artifact_store(ground: Ground) -> ArtifactStore:
    return open_store(ground.artifacts, engine_for=EngineCache(threads=1).engine_for)


@pytest.fixture(scope="module")
def frame(ground: Ground) -> m.FrameMessage:
    payload = codec_of(CODEC).encode(open_picture(ground.pictures[0][0]))
    return m.FrameMessage(
        inspection_id="01234567-89ab-4def-8123-456789abcdef",
        station=str(STATION),
        boot_id="boot",
        sequence=1,
        part_id="part",
        captured_at=1.0,
        artifact=ground.profile.ladder[0].artifact,
        codec=CODEC,
        payload=payload,
        payload_sha256=m.sha256_of(payload),
        stages={"encode": 0.001},
    )


class Outlet:
    """Takes everything and keeps count."""

    connected = True

    def __init__(self) -> None:
        self.said = 0

    def publish(self, *_arguments: Any, on_done: Callable[[Acknowledged], None] | None = None, **_rest: Any) -> None:
        self.said += 1
        if on_done:
            on_done(Acknowledged(accepted=True, reason="Success"))


class Service:
    """A worker, and those who read statuses, with real records; no network."""

    def __init__(self, artifact_store: ArtifactStore, url: str) -> None:
        self.records, self.outlet, metrics = Records(url), Outlet(), Metrics(CollectorRegistry())
        stopped = threading.Event()
        replies = ReplyPublisher(self.outlet, topics=TOPICS, metrics=metrics, maps="all", stopped=stopped)
        recorder = OutcomeRecorder(self.records, metrics=metrics, stopped=stopped)
        self._pipeline = Pipeline(PartScorer(artifact_store), recorder, replies, PartCounts(metrics), topics=TOPICS)
        birth = m.ServiceStatus(name="fuzz", online=True)
        self._publication = Announcements(
            self.outlet, library=artifact_store, topics=TOPICS, birth=birth, topic="t", watchdog=Watchdog()
        )
        self._auditor = Auditor(self.records, topics=TOPICS, shown=metrics, grace_seconds=0.0)

    def take(self, payload: bytes, channel: str) -> None:
        """What the connections would do with a delivery, on the threads behind them."""
        acknowledged: list[int] = []
        topic = f"vad/v1/{STATION}/{channel}"
        delivery = Delivery(topic=topic, payload=payload, on_acknowledge=lambda: acknowledged.append(1))
        if channel == "status":
            self._publication.on_status(delivery)
            self._auditor.on_status(delivery)
            self._auditor.look()
        else:
            self._pipeline.work([delivery])
            assert acknowledged == [1]


@pytest.fixture(scope="module")
def service(artifact_store: ArtifactStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    running = Service(artifact_store, f"sqlite:///{tmp_path_factory.mktemp('fuzz') / 'records.db'}")
    yield running
    running.records.close()


@BOUNDED
@given(data=st.data(), channel=st.sampled_from(["frame", "backlog"]))
def test_no_bytes_from_a_station_stop_the_service(
    service: Service, frame: m.FrameMessage, data: st.DataObject, channel: str
) -> None:
    drop = m.DropMessage(
        **{name: getattr(frame, name) for name in m.DropMessage.__struct_fields__ if hasattr(frame, name)},
        reason="interrupted",
    )
    valid = m.pack(data.draw(st.sampled_from([frame, drop])))
    payload = data.draw(spoiled(valid, json=False))
    with within_bounds():
        service.take(payload, channel)


@BOUNDED
@given(data=st.data())
def test_no_payload_of_a_whole_envelope_stops_the_service(
    service: Service, frame: m.FrameMessage, data: st.DataObject
) -> None:
    """The digest is right, so that the picture's own decoder meets the damage."""
    payload = data.draw(_damaged_picture(frame.payload))
    name = f"{data.draw(st.uuids())}"
    whole = msgspec.structs.replace(frame, payload=payload, payload_sha256=m.sha256_of(payload), inspection_id=name)
    with within_bounds():
        service.take(m.pack(whole), "frame")


def _damaged_picture(picture: bytes) -> st.SearchStrategy[bytes]:
    place = st.integers(0, len(picture))
    return st.builds(
        lambda at, put, cut: picture[:at] + put + picture[at + cut :], place, st.binary(max_size=16), place
    )


@BOUNDED
@given(data=st.data())
def test_no_status_stops_the_service(service: Service, data: st.DataObject) -> None:
    status = m.EdgeStatus(station=str(STATION), online=True, version="1", outbox_rows=3, missing_assets=("a" * 64,))
    payload = data.draw(spoiled(m.to_json(status), json=True))
    with within_bounds():
        service.take(payload, "status")


def test_the_whole_message_is_judged_after_all_that(service: Service, frame: m.FrameMessage) -> None:
    whole = msgspec.structs.replace(frame, inspection_id="fedcba98-89ab-4def-8123-456789abcdef", part_id="last")
    service.take(m.pack(whole), "frame")
    stored = service.records.verdicts_of([whole.inspection_id])[whole.inspection_id]
    verdict: m.Verdict = m.from_json(stored, m.Verdict)
    assert verdict.outcome in {"normal", "anomalous"}


@pytest.fixture(scope="module")
def node(ground: Ground, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """An assembled edge node with a profile and one part that waits for its verdict."""
    folder: Path = tmp_path_factory.mktemp("edge")
    table: dict[str, Any] = {
        "station": str(STATION),
        "source": {"kind": "synthetic", "product": "washer", "size": SIZE},
        "trigger": {"topic": "plc/part"},
        "outbox": {"path": folder / "outbox.sqlite"},
        "profile": {"directory": folder / "profile"},
    }
    made = assemble(EdgeSettings(**table), Stops(threading.Event(), threading.Event()))
    _hand(made, "profile", m.pack(ground.profile))
    assert made.active_encoder.encoder is not None
    yield made
    made.gate_controller.finish()
    made.outbox.close()


def _hand(node: Any, channel: str, payload: bytes) -> None:
    """What the inbox does with a delivery; everything but our own refusals goes through it and fails the test."""
    acknowledged: list[int] = []
    if channel == "trigger":
        trigger = Delivery(topic="plc/part", payload=payload, on_acknowledge=lambda: acknowledged.append(1))
        node.capture.messages.receive(trigger)
        node.capture.triggers._intake.arrive(next(node.capture.messages.arrivals()))
        assert acknowledged == [1]
        return
    topic = f"vad/v1/{STATION}/{channel}"
    delivery = Delivery(topic=topic, payload=payload, on_acknowledge=lambda: acknowledged.append(1))
    node.inbox.handle(delivery, threading.Event())
    assert acknowledged == [1]


def _keep_a_part(node: Any, frame: m.FrameMessage) -> m.Verdict:
    """A part waits in the outbox; the verdict that would close it."""
    name = f"{next(_names):032x}"
    trigger = Trigger(
        inspection_id="-".join((name[:8], name[8:12], name[12:16], name[16:20], name[20:])), part_id="part",
        captured_at=1.0, captured_monotonic=time.monotonic(),
    )  # fmt: skip
    row = node.outbox.reserve(trigger)
    message = m.pack(msgspec.structs.replace(frame, inspection_id=row.inspection_id, sequence=row.sequence))
    node.outbox.append(row, message, "frame", payload_bytes=len(frame.payload), stages={"encode": 0.001})
    fields = {name: getattr(frame, name) for name in ("station", "boot_id", "part_id", "captured_at")}
    return m.Verdict(
        inspection_id=row.inspection_id, sequence=row.sequence, outcome="normal", score=1.0, threshold=2.0,
        received_sha256=m.sha256_of(message), stages={"search": 0.1}, **fields,
    )  # fmt: skip


@BOUNDED
@given(data=st.data(), channel=st.sampled_from(["verdict", "profile", "asset", "command", "status", "trigger"]))
def test_no_bytes_from_a_service_or_a_plant_stop_the_station(
    node: Any, ground: Ground, frame: m.FrameMessage, data: st.DataObject, channel: str
) -> None:
    chunk = m.AssetChunk(sha256="a" * 64, size=100, offset=0, data=bytes(100))
    payload = {
        "verdict": lambda: spoiled(m.to_json(_keep_a_part(node, frame)), json=True),
        "profile": lambda: spoiled(m.pack(ground.profile), json=False),
        "asset": lambda: spoiled(m.pack(chunk), json=False),
        "command": lambda: spoiled(m.to_json(m.Command(command_id="1", name="use_codec", codec=CODEC)), json=True),
        "status": lambda: spoiled(m.to_json(m.ServiceStatus(name="s", online=True, instance="i")), json=True),
        "trigger": lambda: spoiled(b'{"part_id": "part-1"}', json=True),
    }[channel]()
    drawn = data.draw(payload)
    with within_bounds():
        _hand(node, channel, drawn)


@BOUNDED
@given(data=st.data())
def test_no_sealed_profile_stops_the_station(node: Any, ground: Ground, data: st.DataObject) -> None:
    """Its fingerprint is right, so that whatever it asks for is looked at."""
    content = msgspec.msgpack.decode(m.pack(ground.profile))
    path = data.draw(st.sampled_from([path for path in _walk(content) if path and path[0] != "fingerprint"]))
    planted = msgspec.msgpack.encode(_planted(content, path, data.draw(st.sampled_from(NASTY))))
    try:
        profile: m.Profile = m.unpack(planted, m.Profile)
    except UnreadableError:
        return
    with within_bounds():
        _hand(node, "profile", m.pack(m.sealed(profile)))


def test_the_station_obeys_and_is_answered_after_all_that(node: Any, ground: Ground, frame: m.FrameMessage) -> None:
    _hand(node, "profile", m.pack(ground.profile))
    assert node.active_encoder.encoder is not None
    encoded = node.active_encoder.encoder.encode(open_picture(ground.pictures[0][0]))
    assert codec_of(CODEC).decode(encoded[0], SIZE).shape == (*SIZE, 3)
    verdict = _keep_a_part(node, frame)
    assert node.outbox.row(verdict.inspection_id) is not None
    _hand(node, "verdict", m.to_json(verdict))
    assert node.outbox.row(verdict.inspection_id) is None


@BOUNDED
@given(data=st.data())
def test_no_map_stops_who_looks_at_it(frame: m.FrameMessage, data: st.DataObject) -> None:
    picture = codec_of("webp:80").encode(np.zeros((*SIZE, 3), np.uint8))
    message = m.MapMessage(
        inspection_id=frame.inspection_id, station=frame.station, part_id="part", picture=picture, low=0.0, high=1.0
    )
    payload = data.draw(spoiled(m.pack(message), json=False))
    with within_bounds():
        try:
            drawn = drawn_map(m.unpack(payload, m.MapMessage))
        except UnreadableError:
            return
        assert drawn.ndim == 2
