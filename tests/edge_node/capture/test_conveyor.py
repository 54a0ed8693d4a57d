"""On a conveyor that does not wait, no picture ever shows another part than its own, whatever holds the station up.

The plant tells each part by a message with its number. A picture shows the number of the part that stands before the
camera at the moment of exposure. So a picture that is taken late shows a wrong number.
"""

import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from edge_node.capture.sources.conveyor import number_in
from edge_node.outbox.journal import JournalLine
from patchline.mqtt.delivery import Delivery
from patchline.mqtt.link import Link
from patchline.mqtt.settings import LinkSettings, Subscription
from patchline.replay.broker import Broker
from patchline.vision.codecs.lookup import codec_of
from patchline.wire.messages import Command, FrameMessage, GateCommand, from_json, to_json
from patchline.wire.topics import Station, Topics

pytestmark = pytest.mark.broker

STATION = Station.parse("plant/line1/cam1")
COMMANDS = Topics().of(STATION, "command")
PART_SECONDS = 0.6
PARTS = 12
DISTURBED = range(3, 8)


@pytest.fixture
def commands(mosquitto: Broker) -> Iterator[list[tuple[float, GateCommand]]]:
    """What the gate hears, and when."""
    heard: list[tuple[float, GateCommand]] = []

    def hear(delivery: Delivery) -> None:
        heard.append((time.time(), from_json(delivery.payload, GateCommand)))
        delivery.acknowledge()

    link = Link(
        LinkSettings(port=mosquitto.port, client_id="plc"),
        subscriptions=[Subscription("plc/gate")],
        on_delivery=hear,
        on_connected=lambda _: None,
        on_disconnected=lambda _: None,
    )
    link.start()
    assert link.wait_connected(60.0)
    yield heard
    link.stop(2)


@contextmanager
def stopped(process: "subprocess.Popen[bytes]", _: Any, __: Path) -> Iterator[None]:
    process.send_signal(signal.SIGSTOP)
    yield
    process.send_signal(signal.SIGCONT)


@contextmanager
def locked(_: Any, __: Any, outbox: Path) -> Iterator[None]:
    with closing(sqlite3.connect(outbox, isolation_level=None)) as stranger:
        stranger.execute("BEGIN EXCLUSIVE")
        yield
        stranger.execute("ROLLBACK")


@contextmanager
def paused(_: Any, service: Any, __: Path) -> Iterator[None]:
    service.send(COMMANDS, to_json(Command(command_id="1", name="pause")))
    yield
    service.send(COMMANDS, to_json(Command(command_id="2", name="resume")))


@contextmanager
def undisturbed(*_: Any) -> Iterator[None]:
    yield


@pytest.mark.parametrize(
    ("disturbance", "exposure_seconds"),
    [(undisturbed, 0.0), (stopped, 0.0), (locked, 0.0), (paused, 0.0), (undisturbed, 0.55)],
    ids=["undisturbed", "stopped by a signal", "database locked", "paused", "slow capture"],
)
def test_every_part_has_its_own_picture_or_is_a_drop_and_the_gate_is_never_late(
    *,
    service: Any,
    settings_for: Callable[..., Any],
    commands: list[tuple[float, GateCommand]],
    journal: Callable[[], list[JournalLine]],
    eventually: Callable[..., None],
    disturbance: Callable[..., Any],
    exposure_seconds: float,
) -> None:
    started = time.time()
    conveyor = {"kind": "conveyor", "part_seconds": PART_SECONDS, "started_at": started, "size": (64, 64)}
    settings = settings_for(
        {**conveyor, "exposure_seconds": exposure_seconds},
        trigger={"topic": "plc/part", "max_age_seconds": 0.8 * PART_SECONDS},
        gate={"kind": "mqtt", "topic": "plc/gate", "deadline_seconds": 0.5},
        finish_when_drained=False,
    )
    table = json.dumps(settings.model_dump(mode="json"))
    with subprocess.Popen([sys.executable, "-c", EDGE, table]) as process:
        try:
            eventually(lambda: is_heard(service))
            numbers = run_the_belt(started, service, disturbance(process, service, settings.outbox.path))
            eventually(lambda: len(journal()) == 1 + PARTS)
        finally:
            process.send_signal(signal.SIGTERM)
    lines = [line for line in journal() if line.part_id != "probe"]
    assert [int(line.part_id) for line in lines] == numbers
    frames = [
        message for _, message in service.seen if isinstance(message, FrameMessage) and message.part_id != "probe"
    ]
    shown = {frame.part_id: number_in(codec_of("png").decode(frame.payload, (32, 32))) for frame in frames}
    assert shown == {part_id: int(part_id) for part_id in shown}
    if exposure_seconds == 0.0:
        assert shown, "parts that nothing held up are pictured"
    for line in lines:
        if line.part_id not in shown:
            assert (line.outcome, line.reason) in {("dropped", "superseded"), ("dropped", "interrupted")}
            assert line.gate_grounds in {"deadline", "missed"}
    assert len({command.command_id for _, command in commands}) == len({command.part_id for _, command in commands})
    assert [command.part_id for at, command in commands if at > command.act_before + 0.3] == []


EDGE = """
import json, sys
from edge_node.app import run
from edge_node.settings import EdgeSettings
sys.exit(run(EdgeSettings(**json.loads(sys.argv[1]))))
"""


def is_heard(service: Any) -> bool:
    """Whether the station takes triggers; the repetitions of one trigger are one part."""
    service.send("plc/part", json.dumps({"part_id": "probe", "trigger_id": "probe"}).encode())
    time.sleep(0.2)
    return "probe" in service.parts()


def run_the_belt(started: float, service: Any, disturbance: Any) -> list[int]:
    """Tell each part as it comes before the camera; the numbers of the parts."""
    first = int((time.time() - started) / PART_SECONDS) + 2
    for place in range(PARTS):
        at = started + (first + place) * PART_SECONDS
        time.sleep(max(0.0, at + 0.01 - time.time()))
        if place == DISTURBED.start:
            disturbance.__enter__()
        number = first + place
        service.send("plc/part", json.dumps({"part_id": number, "trigger_id": number, "triggered_at": at}).encode())
        if place == DISTURBED.stop:
            disturbance.__exit__(None, None, None)
    return list(range(first, first + PARTS))
