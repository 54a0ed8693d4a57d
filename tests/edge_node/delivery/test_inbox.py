"""Whatever arrives, the edge node reads on."""

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_node.control.active_encoder import ActiveEncoder
from edge_node.control.command_handler import CommandHandler
from edge_node.control.profile_cache import ProfileCache
from edge_node.control.profile_updates import ProfileUpdates
from edge_node.control.status_publisher import StatusPublisher
from edge_node.delivery.inbox import LANES, Inbox
from edge_node.delivery.service_presence import ServicePresence
from edge_node.delivery.verdict_handler import VerdictHandler
from edge_node.gate.gate_controller import GateController
from edge_node.gate.gate_policy import GatePolicy
from edge_node.gate.gates.log import LogGate, LogGateSettings
from edge_node.metrics import EdgeMetrics
from edge_node.outbox.outbox import Outbox
from patchline.mqtt.delivery import Delivery
from patchline.wire.errors import UnavailableError, UnreadableError
from patchline.wire.messages import (
    AssetChunk,
    AssetReference,
    Command,
    Profile,
    ProfileCodec,
    ServiceStatus,
    pack,
    sealed,
    sha256_of,
    to_json,
)
from patchline.wire.topics import Station, Topics

STATION = "plant/line1/cam1"


def log_gate() -> LogGate:
    no_link: Any = None
    return LogGate(LogGateSettings(), no_link)


class Births:
    """Stands in for the publisher."""

    def __init__(self) -> None:
        self.count = 0

    def service_born(self) -> None:
        self.count += 1


def delivery(payload: bytes, topic: str = "t/status", *, retained: bool = False) -> Delivery:
    return Delivery(topic=topic, payload=payload, retained=retained)


@pytest.fixture
def active_encoder() -> ActiveEncoder:
    return ActiveEncoder()


@pytest.fixture
def status_publisher(open_outbox: Any, tmp_path: Path, active_encoder: ActiveEncoder) -> StatusPublisher:
    outbox, cache = open_outbox(), ProfileCache(tmp_path / "profile", STATION)
    return StatusPublisher(
        Station.parse(STATION),
        Topics(),
        boot_id="boot",
        version="1",
        active_encoder=active_encoder,
        cache=cache,
        outbox=outbox,
    )


@pytest.fixture
def profile_updates(tmp_path: Path, active_encoder: ActiveEncoder, status_publisher: StatusPublisher) -> ProfileUpdates:
    cache = ProfileCache(tmp_path / "profile", STATION)
    return ProfileUpdates(STATION, active_encoder, cache, status_publisher, EdgeMetrics())


@pytest.fixture
def commands(active_encoder: ActiveEncoder, status_publisher: StatusPublisher) -> CommandHandler:
    return CommandHandler(active_encoder, status_publisher, EdgeMetrics())


def test_every_delivery_is_acknowledged_and_a_bad_one_only_counted() -> None:
    metrics, seen, acknowledged = EdgeMetrics(), list[str](), list[str]()

    def handle(arrived: Delivery) -> None:
        seen.append(arrived.topic)
        if b"bad" in arrived.payload:
            raise UnreadableError("bad")
        if b"full" in arrived.payload:
            raise UnavailableError("disk full")

    inbox, stop = Inbox(metrics), threading.Event()
    inbox.on("verdict", handle)
    inbox.on("plc/part/status", lambda _: stop.set())
    for topic, payload in (
        ("a/verdict", b"bad"),
        ("a/verdict", b"full"),
        ("a/unknown", b""),
        ("a/verdict", b"good"),
        ("plc/part/status", b""),
    ):
        inbox.put(Delivery(topic=topic, payload=payload, on_acknowledge=partial(acknowledged.append, topic)))
    inbox.run(stop)
    assert seen == ["a/verdict"] * 3
    assert acknowledged == ["a/verdict", "a/verdict", "a/unknown", "a/verdict", "plc/part/status"]
    assert metrics.registry.get_sample_value("vad_edge_unreadable_deliveries_total", {"channel": "verdict"}) == 1


def test_a_flood_is_bounded_and_what_does_not_fit_holds_nothing_up(caplog: pytest.LogCaptureFixture) -> None:
    inbox = Inbox(EdgeMetrics())
    acknowledged: list[int] = []
    for number in range(1030):
        inbox.put(Delivery(topic="t/status", payload=b"", on_acknowledge=partial(acknowledged.append, number)))
    assert "too many deliveries wait" in caplog.text
    assert acknowledged == list(range(1024, 1030))


def test_a_verdict_waits_for_no_profile_and_no_command() -> None:
    """Neither its handler nor its acknowledgement: acknowledgements leave in the order of arrival."""
    inbox, stop, loaded, judged = Inbox(EdgeMetrics()), threading.Event(), threading.Event(), threading.Event()
    acknowledged: list[str] = []

    def load_a_network(_: Delivery) -> None:
        assert loaded.wait(60.0)

    inbox.on("profile", load_a_network, "profiles")
    inbox.on("command", load_a_network, "commands")
    inbox.on("verdict", lambda _: judged.set())
    threads = [threading.Thread(target=inbox.run, args=(stop, lane)) for lane in LANES]
    for thread in threads:
        thread.start()
    for topic in ("t/profile", "t/command", "t/verdict"):
        inbox.put(Delivery(topic=topic, payload=b"", on_acknowledge=partial(acknowledged.append, topic)))
    assert judged.wait(60.0)
    assert acknowledged[:2] == ["t/profile", "t/command"]
    stop.set()
    loaded.set()
    for thread in threads:
        thread.join()
    assert "t/verdict" in acknowledged


def test_a_profile_is_handled_again_until_the_disk_takes_it() -> None:
    inbox, stop, attempts = Inbox(EdgeMetrics()), threading.Event(), list[str]()

    def keep(_: Delivery) -> None:
        attempts.append("keep")
        if len(attempts) < 3:
            raise UnavailableError("disk full")
        stop.set()

    inbox.on("profile", keep, "profiles")
    inbox.put(delivery(b"", "t/profile"))
    inbox.run(stop, "profiles")
    assert len(attempts) == 3


def test_a_topic_that_nothing_handles_is_counted_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    metrics, stop = EdgeMetrics(), threading.Event()
    inbox = Inbox(metrics)
    inbox.on("plc/stop", lambda _: stop.set())
    for topic in ("plc/part/7", "plc/part/7", "plc/part/7", "plc/stop"):
        inbox.put(delivery(b"", topic))
    inbox.run(stop)
    assert metrics.registry.get_sample_value("vad_edge_unreadable_deliveries_total", {"channel": "unexpected"}) == 3
    assert caplog.text.count("plc/part/7") == 1


def test_a_birth_is_told_once_a_connection_and_again_when_a_service_returns() -> None:
    births: Any = Births()
    services = ServicePresence(births)
    up = to_json(ServiceStatus(name="analytics", online=True, instance="one"))
    down = to_json(ServiceStatus(name="analytics", online=False, instance="one"))
    counts = []
    for payload, retained in ((up, True), (up, True), (up, False), (down, False), (up, True), (b"", False)):
        services.receive(delivery(payload, retained=retained))
        counts.append(births.count)
    assert counts == [1, 1, 2, 2, 3, 3]


def test_services_invented_by_the_thousand_are_not_remembered() -> None:
    births: Any = Births()
    services = ServicePresence(births)
    for number in range(1000):
        services.receive(delivery(to_json(ServiceStatus(name=f"service-{number}", online=True, instance="one"))))
    assert births.count == 1000
    assert len(services._up) == 64


def test_a_profile_with_assets_is_used_once_they_are_here(
    profile_updates: ProfileUpdates, active_encoder: ActiveEncoder
) -> None:
    content = b"codebook" * 100
    asset = AssetReference(name="codebook", sha256=sha256_of(content), size=len(content))
    profile_codec = ProfileCodec(codec="png", artifact="a" * 64, assets=(asset,))
    profile = sealed(Profile(station=STATION, input_size=(32, 32), ladder=(profile_codec,)))
    profile_updates.receive_profile(delivery(pack(profile)))
    assert active_encoder.encoder is None
    profile_updates.receive_asset(
        delivery(pack(AssetChunk(sha256=asset.sha256, size=asset.size, offset=0, data=content)))
    )
    assert active_encoder.encoder is not None
    assert active_encoder.encoder.profile == profile


def test_a_withdrawn_profile_stays_in_use(
    profile_updates: ProfileUpdates, active_encoder: ActiveEncoder, make_profile: Any
) -> None:
    profile_updates.receive_profile(delivery(pack(make_profile())))
    profile_updates.receive_profile(delivery(b""))
    assert active_encoder.encoder is not None


def test_a_profile_this_edge_cannot_encode_leaves_the_one_before_in_use(
    profile_updates: ProfileUpdates, active_encoder: ActiveEncoder, make_profile: Any, caplog: pytest.LogCaptureFixture
) -> None:
    profile_updates.receive_profile(delivery(pack(make_profile("png"))))
    profile_updates.receive_profile(delivery(pack(make_profile("hologram:3"))))
    assert active_encoder.encoder is not None
    assert active_encoder.encoder.profile_codec.codec == "png"
    assert "no codec is called 'hologram:3'" in caplog.text


Handler = Callable[[Delivery], None]


@given(payload=st.binary(max_size=300))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_bytes_break_a_handler(payload: bytes, profile_updates: ProfileUpdates, commands: CommandHandler) -> None:
    births: Any = Births()
    for handler in (
        profile_updates.receive_profile,
        profile_updates.receive_asset,
        commands.receive,
        ServicePresence(births).receive,
    ):
        try:
            handler(delivery(payload))
        except UnreadableError:
            continue


mutations = st.tuples(st.integers(0, 10_000), st.integers(0, 255))


@given(mutation=mutations)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_flipped_byte_breaks_a_handler(
    mutation: tuple[int, int], profile_updates: ProfileUpdates, commands: CommandHandler, make_profile: Any
) -> None:
    place, value = mutation
    chunk = AssetChunk(sha256="0" * 64, size=3, offset=0, data=b"abc")
    command = Command(command_id="c", name="use_codec", codec="png")
    for handler, whole in (
        (profile_updates.receive_profile, pack(make_profile())),
        (profile_updates.receive_asset, pack(chunk)),
        (commands.receive, to_json(command)),
    ):
        damaged = bytearray(whole)
        damaged[place % len(whole)] = value
        try:
            handler(delivery(bytes(damaged)))
        except UnreadableError:
            continue


def test_no_bytes_close_a_row(open_outbox: Any, make_trigger: Any) -> None:
    outbox: Outbox = open_outbox()
    row = outbox.reserve(make_trigger())
    births: Any = Births()
    keeper = GateController(log_gate(), outbox, STATION, GatePolicy(), EdgeMetrics())
    receipts = VerdictHandler(outbox, births, keeper, station=STATION, boot_id="boot", metrics=EdgeMetrics())
    for payload in (b"", b"null", b"{}", b'{"kind": "verdict"}', row.inspection_id.encode(), b"[" * 5000):
        with pytest.raises(UnreadableError):
            receipts.receive(delivery(payload))
    assert outbox.state.rows == 1
