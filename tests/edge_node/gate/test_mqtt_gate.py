"""Gate commands over MQTT wait for no frame, and depend on no history."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge_node.outbox.journal import JournalLine
from edge_node.settings import EdgeSettings
from patchline.mqtt.delivery import Delivery
from patchline.mqtt.link import Link
from patchline.mqtt.settings import LinkSettings, Subscription
from patchline.replay.broker import Broker
from patchline.replay.chaos_proxy import ChaosProxy
from patchline.replay.token_bucket import TokenBucket
from patchline.wire.messages import GateCommand, from_json, sealed

pytestmark = pytest.mark.broker

SettingsFor = Callable[..., EdgeSettings]
TOPIC = "plc/gate"


@pytest.fixture
def commands(mosquitto: Broker) -> Iterator[list[tuple[float, GateCommand]]]:
    """What the gate hears, and when."""
    heard: list[tuple[float, GateCommand]] = []

    def hear(delivery: Delivery) -> None:
        assert not delivery.retained
        heard.append((time.time(), from_json(delivery.payload, GateCommand)))
        delivery.acknowledge()

    link = Link(
        LinkSettings(port=mosquitto.port, client_id="plc"),
        subscriptions=[Subscription(TOPIC)],
        on_delivery=hear,
        on_connected=lambda _: None,
        on_disconnected=lambda _: None,
    )
    link.start()
    assert link.wait_connected(60.0)
    yield heard
    link.stop(2)


def test_commands_do_not_wait_for_frames_that_fill_the_line(
    *,
    service: Any,
    start_edge: Any,
    settings_for: SettingsFor,
    mosquitto: Broker,
    commands: list[tuple[float, GateCommand]],
    eventually: Callable[..., None],
) -> None:
    small = next(iter(service.profiles.values()))
    raw = msgspec.structs.replace(small.ladder[0], codec="raw")
    service.publish_profile(sealed(msgspec.structs.replace(small, input_size=(300, 300), ladder=(raw,))))
    with ChaosProxy(mosquitto.port, uplink=TokenBucket(20_000)) as thin_line:
        start_edge(
            settings_for(
                {"kind": "synthetic", "product": "washer", "size": (300, 300), "parts": 8},
                trigger={"takt_seconds": 0.2},
                broker={"port": thin_line.port},
                gate={"kind": "mqtt", "topic": TOPIC, "deadline_seconds": 1.0, "tolerance_seconds": 5.0},
                finish_when_drained=False,
                drain_seconds=0,
            )
        )
        eventually(lambda: len(commands) == 8)
    assert {(command.action, command.grounds) for _, command in commands} == {("reject", "deadline")}
    assert len({command.command_id for _, command in commands}) == 8
    assert [command for at, command in commands if at > command.act_before] == []


@pytest.mark.parametrize("journal_lines", [0, 1, 100])
def test_a_part_that_was_dropped_is_rejected_at_its_deadline_however_little_history_is_kept(
    *,
    service: Any,
    start_edge: Any,
    settings_for: SettingsFor,
    tmp_path: Path,
    picture_folder: Path,
    commands: list[tuple[float, GateCommand]],
    journal: Callable[[], list[JournalLine]],
    journal_lines: int,
) -> None:
    del service
    for number in range(8):
        (picture_folder / f"part-{number}.png").write_bytes(b"not a picture")
    settings = settings_for(
        {"kind": "folder", "directory": picture_folder},
        outbox={"path": tmp_path / "edge" / "outbox.sqlite", "journal_lines": journal_lines},
        gate={"kind": "mqtt", "topic": TOPIC, "deadline_seconds": 1.0, "tolerance_seconds": 5.0},
    )
    assert start_edge(settings).wait() == 0
    assert {line.gate_grounds for line in journal()} == {"deadline"}
    assert sorted(command.part_id for _, command in commands) == [f"part-{number}" for number in range(8)]
