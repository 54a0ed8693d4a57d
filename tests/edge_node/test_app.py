"""The whole edge node against a real broker and a service small enough to read."""

import json
import signal
import subprocess
import sys
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_node.outbox.journal import JournalLine
from edge_node.settings import EdgeSettings
from patchline.mqtt.delivery import Delivery
from patchline.mqtt.link import Link
from patchline.mqtt.settings import LinkSettings, Subscription
from patchline.replay.broker import Broker, free_port
from patchline.wire.errors import EXIT_UNAVAILABLE
from patchline.wire.messages import Command, DropMessage, EdgeStatus, FrameMessage, from_json, to_json
from patchline.wire.topics import Station, Topics

pytestmark = pytest.mark.broker

STATION = Station.parse("plant/line1/cam1")
TOPICS = Topics()

SettingsFor = Callable[..., EdgeSettings]
Journal = Callable[[], list[JournalLine]]
Eventually = Callable[..., None]


def test_every_picture_of_a_folder_gets_its_verdict(
    service: Any,
    start_edge: Any,
    settings_for: SettingsFor,
    picture_folder: Path,
    journal: Journal,
) -> None:
    patient = {"kind": "log", "deadline_seconds": 100}
    assert start_edge(settings_for({"kind": "folder", "directory": picture_folder}, gate=patient)).wait() == 0
    names = [f"part-{number}" for number in range(8)]
    assert service.parts() == names
    lines = journal()
    assert [line.part_id for line in lines] == names
    assert [line.sequence for line in lines] == list(range(1, 9))
    assert {line.outcome for line in lines} == {"normal"}
    assert {(line.gate_action, line.gate_grounds) for line in lines} == {("accept", "verdict")}
    for line in lines:
        assert line.latency_seconds is not None
        stages = dict(line.stages)
        assert stages.pop("uplink", 0.0) <= stages["transmission"]
        assert {"capture", "resize", "encode", "keep", "admit", "server", "transmission"} == stages.keys()
        assert sum(stages[name] for name in stages if name != "admit") == pytest.approx(line.latency_seconds)
    frame = service.seen[0][1]
    assert isinstance(frame, FrameMessage)
    assert (frame.codec, len(frame.traceparent)) == ("png", 55)


def test_a_station_whose_source_has_ended_says_so_and_stays_unless_told_to_finish(
    service: Any,
    start_edge: Any,
    settings_for: SettingsFor,
    picture_folder: Path,
    caplog: pytest.LogCaptureFixture,
    eventually: Eventually,
) -> None:
    source = {"kind": "folder", "directory": picture_folder}
    with caplog.at_level("INFO", logger="edge_node.app"):
        start_edge(settings_for(source, finish_when_drained=False))
        eventually(lambda: len(service.parts()) == 8)
        eventually(lambda: "the source has ended, no more parts come; the station stays until" in caplog.text)


def test_a_replay_follows_its_plan_and_a_synthetic_line_its_seed(
    service: Any, start_edge: Any, settings_for: SettingsFor, picture_folder: Path, tmp_path: Path
) -> None:
    plan = tmp_path / "plan.jsonl"
    parts = [{"path": f"pictures/part-{number}.png", "part_id": f"order-{number}"} for number in (3, 1, 2)]
    plan.write_text("\n".join(json.dumps(part) for part in parts))
    assert start_edge(settings_for({"kind": "replay", "plan": plan})).wait() == 0
    assert (
        start_edge(settings_for({"kind": "synthetic", "product": "washer", "parts": 2, "size": (64, 64)})).wait() == 0
    )
    assert service.parts() == ["order-3", "order-1", "order-2", "washer-0-000000", "washer-0-000001"]


def test_an_unreadable_picture_is_a_drop_with_its_reason(
    service: Any,
    start_edge: Any,
    settings_for: SettingsFor,
    picture_folder: Path,
    journal: Journal,
) -> None:
    (picture_folder / "part-3.png").write_bytes(b"not a picture")
    assert start_edge(settings_for({"kind": "folder", "directory": picture_folder})).wait() == 0
    drops = [message for _, message in service.seen if isinstance(message, DropMessage)]
    assert [(drop.part_id, drop.reason) for drop in drops] == [("part-3", "capture_failed")]
    outcomes = {line.part_id: (line.outcome, line.reason) for line in journal()}
    assert outcomes.pop("part-3") == ("dropped", "capture_failed")
    assert set(outcomes.values()) == {("normal", "")}


def test_a_message_over_the_brokers_limit_is_a_drop(
    service: Any, start_edge: Any, settings_for: SettingsFor, picture_folder: Path, mosquitto: Broker
) -> None:
    broker = {"port": mosquitto.port, "max_packet_bytes": 2000}
    assert start_edge(settings_for({"kind": "folder", "directory": picture_folder}, broker=broker)).wait() == 0
    assert {message.reason for _, message in service.seen if isinstance(message, DropMessage)} == {"too_large"}
    assert len(service.seen) == 8


def test_a_station_waits_for_its_first_profile_or_gives_up_when_told(
    new_service: Any, start_edge: Any, settings_for: SettingsFor, picture_folder: Path
) -> None:
    new_service()
    source = {"kind": "folder", "directory": picture_folder}
    assert (
        start_edge(settings_for(source, profile={"directory": picture_folder / "none", "wait_seconds": 0.5})).wait()
        == EXIT_UNAVAILABLE
    )


@pytest.fixture
def statuses(mosquitto: Broker) -> Any:
    """What the station says about itself, as a stranger hears it."""
    heard: list[EdgeStatus] = []

    def hear(delivery: Delivery) -> None:
        heard.append(from_json(delivery.payload, EdgeStatus))
        delivery.acknowledge()

    link = Link(
        LinkSettings(port=mosquitto.port, client_id="stranger"),
        subscriptions=[Subscription(TOPICS.of(STATION, "status"))],
        on_delivery=hear,
        on_connected=lambda _: None,
        on_disconnected=lambda _: None,
    )
    link.start()
    assert link.wait_connected(60.0)
    yield heard
    link.stop(2)


def test_commands_are_obeyed_and_answered(
    *,
    service: Any,
    start_edge: Any,
    settings_for: SettingsFor,
    statuses: list[EdgeStatus],
    outbox_rows: Callable[[str], list[tuple[Any, ...]]],
    eventually: Eventually,
) -> None:
    edge = start_edge(settings_for({"kind": "synthetic", "product": "washer", "size": (64, 64)}))
    topic = TOPICS.of(STATION, "command")

    def told(name: str, **arguments: str) -> EdgeStatus:
        order = Command(command_id=f"{name}-{arguments}", name=name, **arguments)  # type: ignore[arg-type]
        service.send(topic, to_json(order))
        eventually(lambda: [status for status in statuses if status.answers == order.command_id])
        return next(status for status in statuses if status.answers == order.command_id)

    def parts_taken() -> int:
        (highest,) = outbox_rows("SELECT seq FROM sqlite_sequence WHERE name = 'inspections'")[0]
        return int(highest)

    eventually(lambda: len(service.seen) > 2)
    assert told("pause").paused
    taken = parts_taken()
    answer = told("use_codec", codec="webp:80")
    assert (answer.codec, answer.error, answer.paused) == ("webp:80", "", True)
    assert "not on the station's ladder" in told("use_codec", codec="raw").error
    assert parts_taken() <= taken + 1, "one part may have been under way"
    assert not told("resume").paused
    eventually(lambda: getattr(service.seen[-1][1], "codec", "") == "webp:80")
    edge.stops.capture.set()
    assert edge.wait() == 0
    eventually(lambda: not statuses[-1].online)
    assert {status.boot_id for status in statuses} == {statuses[-1].boot_id}


def test_parts_told_over_mqtt_are_captured_under_the_plants_own_ids(
    service: Any, start_edge: Any, settings_for: SettingsFor, statuses: list[EdgeStatus], eventually: Eventually
) -> None:
    source = {"kind": "synthetic", "product": "washer", "size": (64, 64), "parts": 5}
    patient = {"topic": "plc/line1/part", "max_age_seconds": 100}
    edge = start_edge(settings_for(source, trigger=patient))
    eventually(lambda: any(status.codec for status in statuses))
    for payload in (b'{"part_id": "A-1"}', b"A-2", b"\xff\xfe", b"[not json", b'{"part_id": 7}'):
        service.send("plc/line1/part", payload)
    assert edge.wait() == 0
    assert service.parts() == ["A-1", "A-2", "washer-0-000002", "[not json", "7"]


def test_a_new_profile_is_used_from_the_next_part_on(
    service: Any, start_edge: Any, settings_for: SettingsFor, make_profile: Any, eventually: Eventually
) -> None:
    start_edge(settings_for({"kind": "synthetic", "product": "washer", "size": (64, 64)}))
    eventually(lambda: service.seen)
    service.publish_profile(make_profile("webp:50"))
    eventually(lambda: isinstance(service.seen[-1][1], FrameMessage) and service.seen[-1][1].codec == "webp:50")


def test_sigterm_ends_the_program_in_order(
    service: Any, settings_for: SettingsFor, statuses: list[EdgeStatus], tmp_path: Path, eventually: Eventually
) -> None:
    settings = settings_for({"kind": "synthetic", "product": "washer"})
    file = tmp_path / "edge.toml"
    file.write_text(
        f"""
station = "{settings.station}"
[source]
kind = "synthetic"
product = "label"
[trigger]
takt_seconds = 0.05
[broker]
port = {settings.broker.port}
[outbox]
path = "{settings.outbox.path}"
[profile]
directory = "{settings.profile.directory}"
[metrics]
port = {free_port()}
"""
    )
    port = tomllib.loads(file.read_text())["metrics"]["port"]
    command = [sys.executable, "-m", "patchline", "edge", "--config", str(file)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        eventually(lambda: len(service.seen) > 3)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            text = answer.read().decode()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert process.stderr is not None
        log = process.stderr.read()
    assert "vad_edge_connected 1.0" in text
    assert 'vad_edge_profile_info{codec="png"' in text
    assert "SIGTERM received, stopping" in log
    assert "Traceback" not in log
    eventually(lambda: not statuses[-1].online)
    assert statuses[-1].outbox_rows == 0


@pytest.mark.slow
def test_the_embedded_broker_of_a_demonstration_serves_as_well(
    start_edge: Any, settings_for: SettingsFor, picture_folder: Path, tmp_path: Path, make_profile: Any, tiny: Any
) -> None:
    pytest.importorskip("amqtt", reason="amqtt is not installed (extra analytics)")
    with Broker(tmp_path / "embedded", kind="amqtt") as broker, tiny(broker) as service:
        service.publish_profile(make_profile())
        settings = settings_for(
            {"kind": "folder", "directory": picture_folder},
            broker={"port": broker.port, "protocol": "3.1.1"},
            send={"first_resend_seconds": 2},
        )
        assert start_edge(settings).wait() == 0
        assert sorted(set(service.parts())) == [f"part-{number}" for number in range(8)]


def test_readiness_says_what_a_station_waits_for_and_liveness_does_not(
    mosquitto: Broker,
    start_edge: Any,
    settings_for: SettingsFor,
    eventually: Eventually,
    new_service: Any,
    make_profile: Any,
) -> None:
    port = free_port()
    start_edge(settings_for({"kind": "synthetic", "product": "washer"}, metrics={"port": port}))

    def says(path: str) -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=10) as answer:
                return f"{answer.status} {answer.read().decode()}"
        except urllib.error.HTTPError as error:
            with error:
                return f"{error.code} {error.read().decode()}"
        except OSError:
            return ""

    eventually(lambda: says("readyz") == "503 no profile yet, neither cached nor published\n")
    new_service().publish_profile(make_profile())
    eventually(lambda: says("readyz") == "200 ok\n")
    mosquitto.kill()
    eventually(lambda: says("readyz") == "503 not connected to the broker\n")
    assert says("healthz") == "200 ok\n"
    mosquitto.restart()
