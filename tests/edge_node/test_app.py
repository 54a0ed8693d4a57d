"""The whole edge node against a real broker and a service small enough to read."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_node.app import run
from edge_node.assembly import Stops
from edge_node.journal import JournalLine, read_journal
from edge_node.settings import EdgeSettings
from line_replay.broker import Broker
from wire_contract.errors import EXIT_UNAVAILABLE
from wire_contract.messages import DropMessage, FrameMessage
from wire_contract.topics import Topics

pytestmark = pytest.mark.broker

STATION = "plant/line1/cam1"
TOPICS = Topics()


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

    def __enter__(self) -> "Running":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stops.capture.set()
        self._thread.join()

    def wait(self, seconds: float = 60.0) -> int | None:
        self._thread.join(seconds)
        assert not self._thread.is_alive()
        if self.failure is not None:
            raise self.failure
        return self.code


@pytest.fixture
def settings_for(mosquitto: Broker, tmp_path: Path) -> Callable[..., EdgeSettings]:
    """A station's settings: a source, and whatever else differs."""

    def settings(source: dict[str, Any], **other: Any) -> EdgeSettings:
        tables: dict[str, Any] = {
            "station": STATION,
            "source": source,
            "trigger": {"takt_seconds": 0.02},
            "broker": {"port": mosquitto.port},
            "outbox": {"path": tmp_path / "edge" / "outbox.sqlite"},
            "profile": {"directory": tmp_path / "edge" / "profile"},
            "finish_when_drained": True,
            "finish_seconds": 60,
        }
        return EdgeSettings(**{**tables, **other})

    return settings


@pytest.fixture
def journal(tmp_path: Path) -> Callable[[], list[JournalLine]]:
    return lambda: list(read_journal(tmp_path / "edge" / "outbox.sqlite"))


def test_every_picture_of_a_folder_gets_its_verdict(
    service: Any,
    settings_for: Callable[..., EdgeSettings],
    picture_folder: Path,
    journal: Callable[[], list[JournalLine]],
) -> None:
    with Running(settings_for({"kind": "folder", "directory": picture_folder})) as edge:
        assert edge.wait() == 0
    names = [f"part-{number}" for number in range(8)]
    assert service.parts() == names
    lines = journal()
    assert [line.part_id for line in lines] == names
    assert [line.sequence for line in lines] == list(range(1, 9))
    assert {line.outcome for line in lines} == {"normal"}
    assert {(line.gate_action, line.gate_grounds) for line in lines} == {("accept", "verdict")}
    for line in lines:
        assert line.latency_seconds is not None
        assert {"capture", "resize", "encode", "keep", "admit", "server", "transmission"} == line.stages.keys()
        assert sum(line.stages[name] for name in line.stages if name != "admit") == pytest.approx(line.latency_seconds)
    frame = service.seen[0][1]
    assert isinstance(frame, FrameMessage)
    assert (frame.codec, len(frame.traceparent)) == ("png", 55)


def test_a_replay_follows_its_plan_and_a_synthetic_line_its_seed(
    service: Any, settings_for: Callable[..., EdgeSettings], picture_folder: Path, tmp_path: Path
) -> None:
    plan = tmp_path / "plan.jsonl"
    parts = [{"path": f"pictures/part-{number}.png", "part_id": f"order-{number}"} for number in (3, 1, 2)]
    plan.write_text("\n".join(json.dumps(part) for part in parts))
    with Running(settings_for({"kind": "replay", "plan": plan})) as edge:
        assert edge.wait() == 0
    with Running(settings_for({"kind": "synthetic", "product": "washer", "parts": 2, "size": (64, 64)})) as edge:
        assert edge.wait() == 0
    assert service.parts() == ["order-3", "order-1", "order-2", "washer-0-000000", "washer-0-000001"]


def test_an_unreadable_picture_is_a_drop_with_its_reason(
    service: Any,
    settings_for: Callable[..., EdgeSettings],
    picture_folder: Path,
    journal: Callable[[], list[JournalLine]],
) -> None:
    (picture_folder / "part-3.png").write_bytes(b"not a picture")
    with Running(settings_for({"kind": "folder", "directory": picture_folder})) as edge:
        assert edge.wait() == 0
    drops = [message for _, message in service.seen if isinstance(message, DropMessage)]
    assert [(drop.part_id, drop.reason) for drop in drops] == [("part-3", "capture_failed")]
    outcomes = {line.part_id: (line.outcome, line.reason) for line in journal()}
    assert outcomes.pop("part-3") == ("dropped", "capture_failed")
    assert set(outcomes.values()) == {("normal", "")}


def test_a_message_over_the_brokers_limit_is_a_drop(
    service: Any, settings_for: Callable[..., EdgeSettings], picture_folder: Path, mosquitto: Broker
) -> None:
    broker = {"port": mosquitto.port, "max_packet_bytes": 2000}
    with Running(settings_for({"kind": "folder", "directory": picture_folder}, broker=broker)) as edge:
        assert edge.wait() == 0
    assert {message.reason for _, message in service.seen if isinstance(message, DropMessage)} == {"too_large"}
    assert len(service.seen) == 8


def test_a_station_waits_for_its_first_profile_or_gives_up_when_told(
    new_service: Callable[..., Any], settings_for: Callable[..., EdgeSettings], picture_folder: Path
) -> None:
    new_service()
    source = {"kind": "folder", "directory": picture_folder}
    with Running(settings_for(source, profile={"directory": picture_folder / "none", "wait_seconds": 0.5})) as edge:
        assert edge.wait() == EXIT_UNAVAILABLE


def test_a_station_boots_from_its_cache_and_keeps_everything_without_a_broker(
    service: Any,
    settings_for: Callable[..., EdgeSettings],
    picture_folder: Path,
    mosquitto: Broker,
    journal: Callable[[], list[JournalLine]],
    eventually: Callable[..., None],
) -> None:
    source = {"kind": "folder", "directory": picture_folder}
    with Running(settings_for(source)) as edge:
        assert edge.wait() == 0
    mosquitto.kill()
    with Running(settings_for(source, gate={"kind": "log", "deadline_seconds": 0.2})) as edge:
        eventually(lambda: _rows(picture_folder.parent) == 8)
    mosquitto.restart()
    with Running(settings_for({**source, "directory": _one_picture(picture_folder)})) as edge:
        assert edge.wait() == 0
    assert len(journal()) == 8 + 8 + 1
    later = [line for line in journal() if line.sequence in range(9, 17)]
    assert {line.gate_grounds for line in later} <= {"deadline", "missed"}
    assert {line.latency_seconds for line in later} == {None}
    assert {channel for channel, message in service.seen if message.sequence in range(9, 17)} == {"backlog"}


def _one_picture(folder: Path) -> Path:
    single = folder.parent / "single"
    single.mkdir()
    (single / "last.png").write_bytes((folder / "part-0.png").read_bytes())
    return single


def _rows(folder: Path) -> int:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(folder / "edge" / "outbox.sqlite")) as connection:
        return int(connection.execute("SELECT count(*) FROM inspections WHERE kind = 'frame'").fetchone()[0])
