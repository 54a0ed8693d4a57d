"""What every registered gate promises."""

import json
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import ModuleType
from typing import Any

import pytest

from edge_node.gate.gates import GATES
from edge_node.gate.gates.protocol import Gate
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

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, content_type: str = "") -> None:
        assert (qos, content_type) == (1, "application/json")
        self.sent.append((topic, payload))


Told = tuple[Gate, Callable[[], int]]


@pytest.fixture(params=sorted(GATES))
def told(request: pytest.FixtureRequest) -> Told:
    """A gate of each kind, and how often something moved."""
    match request.param:
        case "log":
            caplog: pytest.LogCaptureFixture = request.getfixturevalue("caplog")
            caplog.set_level(logging.WARNING)
            return GATES["log"](), lambda: len(caplog.records)
        case "mqtt":
            wire = Wire()
            return GATES["mqtt"](link=wire, topic="plc/gate"), lambda: len(wire.sent)
        case "http":
            url, handler = request.getfixturevalue("ear")
            return GATES["http"](url=url), lambda: len(handler.heard)
        case "gpio":
            found: type[Pins] = request.getfixturevalue("pins")
            return GATES["gpio"](pin=17, pulse_seconds=0.2), lambda: len(found.pulses)
        case unknown:
            pytest.fail(f"say here how to make a gate of kind {unknown}")


def test_a_command_moves_the_gate_once(told: Told) -> None:
    gate, moved = told
    gate.act(COMMAND)
    assert moved() == 1


def test_gates_on_a_wire_hear_the_whole_command(ear: tuple[str, type[Ear]]) -> None:
    wire = Wire()
    GATES["mqtt"](link=wire, topic="plc/gate").act(COMMAND)
    GATES["http"](url=ear[0]).act(COMMAND)
    assert [from_json(payload, GateCommand) for payload in (wire.sent[0][1], ear[1].heard[0])] == [COMMAND, COMMAND]
    assert json.loads(ear[1].heard[0])["part_id"] == "washer-1"
    assert wire.sent[0][0] == "plc/gate"


def test_an_accepted_part_leaves_the_pin_alone(pins: type[Pins]) -> None:
    gate = GATES["gpio"](pin=17, pulse_seconds=0.2)
    gate.act(GateCommand(**{name: getattr(COMMAND, name) for name in COMMAND.__struct_fields__} | {"action": "accept"}))
    assert pins.pulses == []
    gate.act(COMMAND)
    assert pins.pulses == [(17, 0.2)]


def test_a_gate_that_refuses_or_is_away_is_unavailable(ear: tuple[str, type[Ear]]) -> None:
    ear[1].status = 500
    with pytest.raises(UnavailableError, match="500"):
        GATES["http"](url=ear[0]).act(COMMAND)
    with pytest.raises(UnavailableError, match="did not obey"):
        GATES["http"](url="http://127.0.0.1:9/", timeout_seconds=0.2).act(COMMAND)


def test_what_is_no_address_and_a_board_without_pins_are_said() -> None:
    with pytest.raises(MisconfiguredError, match="not an HTTP address"):
        GATES["http"](url="ftp://gate")
    with pytest.raises(MisconfiguredError, match="gpiozero is not installed"):
        GATES["gpio"](pin=17)
