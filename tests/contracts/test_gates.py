"""What every registered gate promises."""

import json
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import ModuleType
from typing import Any

import msgspec
import pytest

from edge_node.gate.gates import GATES
from edge_node.gate.gates.protocol import Gate
from patchline.mqtt.delivery import Acknowledged
from patchline.wire.errors import MisconfiguredError, UnavailableError
from patchline.wire.messages import GateCommand, from_json

COMMAND = GateCommand(
    inspection_id="0" * 8 + "-0000-4000-8000-" + "0" * 12,
    station="plant/line1/cam1",
    part_id="washer-1",
    action="reject",
    grounds="verdict",
    outcome="anomalous",
)


class Ear(BaseHTTPRequestHandler):
    """Hears commands over HTTP."""

    heard: list[bytes]
    status = 204

    def do_POST(self) -> None:
        type(self).heard.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def ear() -> Iterator[tuple[str, type[Ear]]]:
    handler = type("EarOfThisTest", (Ear,), {"heard": []})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/gate", handler
        server.shutdown()
        thread.join()


class Pins:
    """Stands in for gpiozero on machines without pins."""

    pulses: list[tuple[int, float]]

    def __init__(self, pin: int) -> None:
        self._pin = pin

    def blink(self, *, on_time: float, off_time: float, n: int, background: bool) -> None:
        assert (off_time, n, background) == (0, 1, True)
        type(self).pulses.append((self._pin, on_time))


@pytest.fixture
def pins(monkeypatch: pytest.MonkeyPatch) -> type[Pins]:
    Pins.pulses = []
    module: Any = ModuleType("gpiozero")
    module.DigitalOutputDevice, module.GPIOZeroError = Pins, OSError
    monkeypatch.setitem(sys.modules, "gpiozero", module)
    return Pins


class Wire:
    """A link that only remembers."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes]] = []
        self.expiries: list[int] = []
        self.done: list[Callable[[Acknowledged], None]] = []

    def publish(self, topic: str, payload: bytes, *, expiry_seconds: int, on_done: Any, **told: Any) -> None:
        assert told == {"qos": 1, "content_type": "application/json"}
        self.sent.append((topic, payload))
        self.expiries.append(expiry_seconds)
        self.done.append(on_done)


def gate_of(kind: str, link: Any = None, **told: Any) -> Gate:
    gate = GATES[kind]
    return gate(gate.Settings(kind=kind, **told), link)


def tell(gate: Gate, command: GateCommand = COMMAND, left_seconds: float = 1.5) -> list[str]:
    failures: list[str] = []
    gate.act(command, left_seconds, failures.append)
    return failures


Told = tuple[Gate, Callable[[], int]]


@pytest.fixture(params=sorted(GATES))
def told(request: pytest.FixtureRequest) -> Told:
    """A gate of each kind, and how often something moved."""
    match request.param:
        case "log":
            caplog: pytest.LogCaptureFixture = request.getfixturevalue("caplog")
            caplog.set_level(logging.WARNING)
            return gate_of("log"), lambda: len(caplog.records)
        case "mqtt":
            wire = Wire()
            return gate_of("mqtt", wire, topic="plc/gate"), lambda: len(wire.sent)
        case "http":
            url, handler = request.getfixturevalue("ear")
            return gate_of("http", url=url), lambda: len(handler.heard)
        case "gpio":
            found: type[Pins] = request.getfixturevalue("pins")
            return gate_of("gpio", pin=17, pulse_seconds=0.2), lambda: len(found.pulses)
        case unknown:
            pytest.fail(f"say here how to make a gate of kind {unknown}")


def test_a_command_moves_the_gate_once(told: Told) -> None:
    gate, moved = told
    assert tell(gate) == []
    assert moved() == 1


def test_gates_on_a_wire_hear_the_whole_command(ear: tuple[str, type[Ear]]) -> None:
    wire = Wire()
    tell(gate_of("mqtt", wire, topic="plc/gate"))
    tell(gate_of("http", url=ear[0]))
    assert [from_json(payload, GateCommand) for payload in (wire.sent[0][1], ear[1].heard[0])] == [COMMAND, COMMAND]
    assert json.loads(ear[1].heard[0])["part_id"] == "washer-1"
    assert wire.sent[0][0] == "plc/gate"


def test_an_mqtt_command_expires_at_the_broker_when_its_time_is_over_and_says_when_it_was_refused() -> None:
    wire = Wire()
    gate = gate_of("mqtt", wire, topic="plc/gate")
    failures = [tell(gate, left_seconds=left) for left in (1.5, 0.01)]
    assert wire.expiries == [2, 1]
    wire.done[0](Acknowledged(accepted=True, reason=""))
    wire.done[1](Acknowledged(accepted=False, reason="no subscribers"))
    assert failures == [[], ["no subscribers"]]


def test_only_gates_behind_a_wire_are_told_again() -> None:
    assert {kind for kind, gate in GATES.items() if gate.repeats} == {"mqtt", "http"}


def test_an_accepted_part_leaves_the_pin_alone(pins: type[Pins]) -> None:
    gate = gate_of("gpio", pin=17, pulse_seconds=0.2)
    tell(gate, msgspec.structs.replace(COMMAND, action="accept"))
    assert pins.pulses == []
    tell(gate)
    assert pins.pulses == [(17, 0.2)]


def test_a_gate_that_refuses_or_is_away_is_unavailable(ear: tuple[str, type[Ear]]) -> None:
    ear[1].status = 500
    with pytest.raises(UnavailableError, match="500"):
        tell(gate_of("http", url=ear[0]))
    with pytest.raises(UnavailableError, match="did not obey"):
        tell(gate_of("http", url="http://127.0.0.1:9/", timeout_seconds=0.2))


def test_a_pin_that_does_not_change_is_unavailable(pins: type[Pins], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise OSError("no such chip")

    monkeypatch.setattr(pins, "blink", broken)
    with pytest.raises(UnavailableError, match="does not change"):
        tell(gate_of("gpio", pin=17))


def test_what_is_no_address_and_a_board_without_pins_are_said() -> None:
    with pytest.raises(MisconfiguredError, match="not an HTTP address"):
        gate_of("http", url="ftp://gate")
    with pytest.raises(MisconfiguredError, match="gpiozero is not installed"):
        gate_of("gpio", pin=17)


def test_the_proxy_of_the_environment_is_not_between_a_station_and_its_gate(
    ear: tuple[str, type[Ear]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    tell(gate_of("http", url=ear[0]))
    assert len(ear[1].heard) == 1
