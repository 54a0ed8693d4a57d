"""Each example does what its first lines say, on a real line: a broker, the service and two commissioned stations."""

import importlib.util
import json
import os
import queue
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from PIL import Image

from patchline.replay.broker import Broker, find_mosquitto, free_port

pytestmark = pytest.mark.broker

Eventually = Callable[..., None]
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
CAMERA, FOREIGN = "plant/line1/cam1", "plant/line1/foreign"
TRIGGER = "plant/line1/cam1/part"
SIDE = 96
PATCHLINE = (sys.executable, "-c", "from patchline.cli.app import main; main()")

Run = Callable[..., subprocess.Popen[str]]


@dataclass(frozen=True)
class JoinedLine:
    """Where the line is, and the drawn parts its stations were commissioned with."""

    broker: Broker
    pictures: Path

    @contextmanager
    def camera(self, folder: Path) -> Iterator[None]:
        """The station `cam1`, which draws a washer whenever the plant tells it that a part is there."""
        settings = folder / "edge.toml"
        settings.write_text(
            f'station = "{CAMERA}"\n'
            f'[source]\nkind = "synthetic"\nproduct = "washer"\nsize = [{SIDE}, {SIDE}]\n'
            f'[trigger]\ntopic = "{TRIGGER}"\n'
            f'[outbox]\npath = "{folder}/outbox.db"\n'
            f'[profile]\ndirectory = "{folder}/profile"\n'
            f'[broker]\nhost = "{self.broker.host}"\nport = {self.broker.port}\n'
        )
        with self.listening(f"vad/v1/{CAMERA}/status") as heard, process("edge", "--config", str(settings)):
            while True:
                status = json.loads(heard.get(timeout=60).payload)
                if status["online"] and status["profile"]:
                    break
            yield

    @contextmanager
    def listening(self, topic: str) -> Iterator["queue.Queue[mqtt.MQTTMessage]"]:
        """What arrives on a topic, as a stock client hears it."""
        with listening(self.broker.host, self.broker.port, topic) as heard:
            yield heard


@pytest.fixture(scope="session")
def joined_line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JoinedLine]:
    if find_mosquitto() is None:
        pytest.skip("Mosquitto is not installed (apt install mosquitto)")
    folder = tmp_path_factory.mktemp("joined")
    size = f"{SIDE}x{SIDE}"
    patchline("draw", "--product", "washer", "--train", "12", "--size", size, "--out", str(folder / "washers"))
    commission = ("commission", "--data", str(folder / "washers"), "--codec", "png", "--input-size", size)
    for station in (CAMERA, FOREIGN):
        patchline(*commission, "--station", station, "--out", str(folder / "artifacts"))
    with Broker(folder / "broker", kind="mosquitto") as broker, _service(broker, folder):
        yield JoinedLine(broker, folder / "washers" / "test" / "good")


@contextmanager
def _service(broker: Broker, folder: Path) -> Iterator[None]:
    settings = folder / "analytics.toml"
    settings.write_text(
        f'artifacts = "{folder}/artifacts"\n'
        f'[records]\nurl = "sqlite:///{folder}/records.db"\n'
        f'[broker]\nhost = "{broker.host}"\nport = {broker.port}\n'
    )
    with process("serve", "--config", str(settings)):
        yield


@contextmanager
def process(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A verb of patchline as a process, ended by SIGTERM."""
    running = subprocess.Popen([*PATCHLINE, *arguments], text=True)
    try:
        yield running
    finally:
        running.send_signal(signal.SIGTERM)
        running.wait(60)


def patchline(*arguments: str) -> None:
    """A verb of patchline, to its end."""
    subprocess.run([*PATCHLINE, *arguments], check=True, capture_output=True)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Run]:
    """Start a program whose lines are read from `stdout`; it is ended with the test."""
    running: list[subprocess.Popen[str]] = []

    def run(*command: str | Path, **environment: str) -> subprocess.Popen[str]:
        running.append(
            subprocess.Popen(
                [str(part) for part in command],
                stdout=subprocess.PIPE,
                text=True,
                cwd=tmp_path,
                env={**os.environ, **environment},
            )
        )
        return running[-1]

    yield run
    for program in running:
        program.kill()
        program.communicate()


def records_of(program: subprocess.Popen[str], count: int, *, within_seconds: float = 60.0) -> list[dict[str, object]]:
    """The next lines of JSON that a program prints."""
    assert program.stdout is not None
    deadline = time.monotonic() + within_seconds
    found: list[dict[str, object]] = []
    while len(found) < count and time.monotonic() < deadline:
        line = program.stdout.readline()
        if not line:
            break
        if line.startswith("{"):
            found.append(json.loads(line))
    return found


@contextmanager
def listening(host: str, port: int, topic: str) -> Iterator["queue.Queue[mqtt.MQTTMessage]"]:
    """What arrives on a topic, as a stock client hears it."""
    heard: queue.Queue[mqtt.MQTTMessage] = queue.Queue()
    ready: queue.Queue[None] = queue.Queue()
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)

    def subscribe(*_: Any) -> None:
        client.subscribe(topic, qos=1)

    client.on_connect = subscribe
    client.on_subscribe = lambda *_: ready.put(None)
    client.on_message = lambda _client, _data, message: heard.put(message)
    client.connect(host, port)
    client.loop_start()
    try:
        ready.get(timeout=60)
        yield heard
    finally:
        client.disconnect()
        client.loop_stop()


def run_parts(line: JoinedLine, start: Run, batch: str, parts: int) -> list[dict[str, Any]]:
    gate = start(
        sys.executable,
        EXAMPLES / "plc_gate/plc_gate.py",
        *("--host", line.broker.host, "--port", str(line.broker.port), "--station", CAMERA, "--trigger", TRIGGER),
        *("--parts", str(parts), "--takt", "0", "--deadline", "60", "--batch", batch),
    )
    return records_of(gate, parts)


def test_a_plc_gate_moves_once_for_every_part_and_rejects_when_no_verdict_comes(
    joined_line: JoinedLine, start: Run, tmp_path: Path
) -> None:
    with joined_line.camera(tmp_path):
        moves = run_parts(joined_line, start, "washer", 4)
    assert [move["part_id"] for move in moves] == [f"washer-{number:06d}" for number in range(4)]
    assert {move["grounds"] for move in moves} == {"verdict"}
    assert {(move["outcome"], move["action"]) for move in moves} <= {
        ("normal", "accept"),
        ("anomalous", "reject"),
        ("uncalibrated", "reject"),
    }
    absent = start(
        sys.executable,
        EXAMPLES / "plc_gate/plc_gate.py",
        *("--host", joined_line.broker.host, "--port", str(joined_line.broker.port), "--station", "plant/line1/absent"),
        *("--trigger", "plant/line1/absent/part", "--parts", "1", "--deadline", "0.2"),
    )
    assert records_of(absent, 1) == [
        {"part_id": "part-000000", "action": "reject", "grounds": "deadline", "outcome": ""}
    ]


def test_a_plc_gate_obeys_each_command_once_and_none_whose_part_has_gone_by() -> None:
    example = importlib.util.spec_from_file_location("plc_gate", EXAMPLES / "plc_gate/plc_gate.py")
    assert example is not None
    assert example.loader is not None
    module = importlib.util.module_from_spec(example)
    example.loader.exec_module(module)
    gate = module.CommandGate()

    def command(command_id: str) -> bytes:
        told = {"command_id": command_id, "part_id": "A", "action": "reject", "grounds": "verdict"}
        return json.dumps({**told, "outcome": "anomalous", "act_before": 100.0}).encode()

    assert gate.obey(command("1"), now=99.9)["action"] == "reject"
    assert gate.obey(command("1"), now=99.9) is None
    assert gate.obey(command("2"), now=100.1)["action"] == "refused"
    assert gate.obey(command("3"), now=160.0)["grounds"] == "late"


def test_the_historian_misses_nothing_while_it_is_down(
    joined_line: JoinedLine, start: Run, tmp_path: Path, eventually: Eventually
) -> None:
    database = tmp_path / "parts.db"
    command = (sys.executable, EXAMPLES / "historian/historian.py", "--site", "plant", "--database", database)
    where = ("--host", joined_line.broker.host, "--port", str(joined_line.broker.port))

    def kept() -> list[str]:
        with sqlite3.connect(database) as connection:
            rows = connection.execute("SELECT part_id FROM parts WHERE part_id LIKE 'history-%' ORDER BY part_id")
            return [part_id for (part_id,) in rows]

    historian = start(*command, *where)
    assert historian.stdout is not None
    assert historian.stdout.readline() == "listening\n"
    with joined_line.camera(tmp_path):
        run_parts(joined_line, start, "history-a", 2)
        eventually(lambda: len(kept()) == 2)
        historian.send_signal(signal.SIGKILL)
        historian.wait(60)
        run_parts(joined_line, start, "history-b", 2)
    start(*command, *where)
    eventually(lambda: len(kept()) == 4)
    assert len(set(kept())) == 4


@pytest.fixture(scope="session")
def npm_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Install packages of npm into a folder of their own, once, or skip where that is impossible."""
    folders: dict[str, Path] = {}
    away: list[str] = []

    def install(name: str, *packages: str) -> Path:
        if shutil.which("npm") is None:
            pytest.skip("Node.js is not installed")
        if away:
            pytest.skip(away[0])
        if name not in folders:
            folder = tmp_path_factory.mktemp(name)
            if not packages:
                shutil.copytree(EXAMPLES / name, folder, dirs_exist_ok=True)
            wanted = ("--no-audit", "--no-fund", "--loglevel=error", "--fetch-retries=1", "--fetch-timeout=30000")
            command = ["npm", "install", *wanted, "--prefix", str(folder), *packages]
            seconds = 240 if packages else 60  # Node-RED is large, and an example's own two packages are not
            try:
                done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=seconds, check=False)
            except subprocess.TimeoutExpired:
                away.append("npm does not come to an end")
                pytest.skip(away[0])
            if done.returncode:
                away.append(f"npm cannot install {name}: {done.stderr[-200:]}")
                pytest.skip(away[0])
            folders[name] = folder
        return folders[name]

    return install


def test_a_camera_in_javascript_joins_from_the_wire_page_alone(
    joined_line: JoinedLine, start: Run, npm_folder: Callable[..., Path], tmp_path: Path
) -> None:
    folder = npm_folder("foreign_camera")
    pictures = tmp_path / "pictures"
    shutil.copytree(joined_line.pictures, pictures)
    expected = sorted(path.stem for path in pictures.glob("*.png"))
    url = f"mqtt://{joined_line.broker.host}:{joined_line.broker.port}"
    program = start("node", folder / "camera.js", "--url", url, "--station", FOREIGN, "--folder", pictures)
    judged = records_of(program, len(expected))
    assert program.wait(60) == 0
    assert sorted(str(part["part_id"]) for part in judged) == expected
    assert {part["outcome"] for part in judged} <= {"normal", "anomalous", "uncalibrated"}
    assert all(isinstance(part["score"], float) for part in judged)
    assert (pictures / ".sequence").read_text() == str(len(expected))


def test_a_camera_whose_pictures_do_not_fit_says_so_in_a_line(
    joined_line: JoinedLine, npm_folder: Callable[..., Path], tmp_path: Path
) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    Image.new("RGB", (20, 10)).save(pictures / "part.png")
    url = f"mqtt://{joined_line.broker.host}:{joined_line.broker.port}"
    words = ("--url", url, "--station", FOREIGN, "--folder", pictures)
    camera = ("node", npm_folder("foreign_camera") / "camera.js", *words)
    done = subprocess.run([str(part) for part in camera], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert re.fullmatch(r"error: part\.png is not \d+x\d+, the profile's input size; save it so\n", done.stderr)


@pytest.mark.slow
def test_a_node_red_flow_counts_each_part_once(
    joined_line: JoinedLine, start: Run, npm_folder: Callable[..., Path], tmp_path: Path
) -> None:
    folder = npm_folder("node_red", "node-red@^4")
    userdir = tmp_path / "userdir"
    userdir.mkdir()
    shutil.copy(EXAMPLES / "node_red/flows.json", userdir)
    red = start(
        "node",
        *(folder / "node_modules/node-red/red.js", "--userDir", userdir, "--port", str(free_port())),
        userdir / "flows.json",
        PATCHLINE_BROKER_HOST=joined_line.broker.host,
        PATCHLINE_BROKER_PORT=str(joined_line.broker.port),
    )
    assert red.stdout is not None
    deadline = time.monotonic() + 60
    while "Connected to broker" not in red.stdout.readline():
        assert red.poll() is None
        assert time.monotonic() < deadline, "Node-RED did not reach the broker"
    with (
        joined_line.listening(f"andon/{CAMERA}") as heard,
        joined_line.camera(tmp_path),
    ):
        moves = run_parts(joined_line, start, "andon", 3)
        rows = [json.loads(heard.get(timeout=60).payload) for _ in moves]
    assert [row["part_id"] for row in rows] == [move["part_id"] for move in moves]
    assert [row["parts"] - rows[0]["parts"] for row in rows] == [0, 1, 2]
    assert rows[-1]["outcome"] == moves[-1]["outcome"]


def test_a_bridge_passes_verdicts_on_to_the_plants_broker(tmp_path: Path, eventually: Eventually) -> None:
    mosquitto = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if mosquitto is None:
        pytest.skip("Mosquitto is not installed (apt install mosquitto)")
    plant_port, line_port = free_port(), free_port()
    listener = "listener {port} 127.0.0.1\nallow_anonymous true\n"
    bridge = (EXAMPLES / "plant_bridge/bridge.conf").read_text()
    bridge = bridge.replace("PLANT_HOST:PLANT_PORT", f"127.0.0.1:{plant_port}").replace("SITE", "plant")
    (tmp_path / "plant.conf").write_text(listener.format(port=plant_port))
    (tmp_path / "line.conf").write_text(listener.format(port=line_port) + bridge)
    plant, line = (
        subprocess.Popen([mosquitto, "-c", str(tmp_path / name)], stderr=subprocess.PIPE)
        for name in ("plant.conf", "line.conf")
    )
    try:
        eventually(lambda: _accepts(plant_port) and _accepts(line_port))
        with (
            listening("127.0.0.1", plant_port, "#") as heard,
            listening("127.0.0.1", line_port, "#"),
        ):
            client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
            client.connect("127.0.0.1", line_port)
            client.loop_start()
            client.publish("vad/v1/plant/line1/cam1/frame", b"a frame stays on the line", qos=1)
            client.publish(f"vad/v1/{CAMERA}/verdict", b'{"kind": "verdict"}', qos=1)
            arrived = heard.get(timeout=60)
            client.disconnect()
            client.loop_stop()
        assert (arrived.topic, arrived.payload) == (f"factory/vad/v1/{CAMERA}/verdict", b'{"kind": "verdict"}')
        assert heard.empty()
    finally:
        for broker in (plant, line):
            broker.terminate()
            broker.communicate()


def _accepts(port: int) -> bool:
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    try:
        client.connect("127.0.0.1", port)
    except OSError:
        return False
    client.disconnect()
    return True
