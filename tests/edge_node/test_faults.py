"""What the world does to an edge node: every part still gets its one verdict."""

import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge_node.outbox.journal import JournalLine
from edge_node.outbox.outbox import Outbox
from edge_node.settings import EdgeSettings
from patchline.replay.broker import Broker
from patchline.wire.errors import UnavailableError
from patchline.wire.messages import DropMessage, sealed

pytestmark = pytest.mark.broker

SettingsFor = Callable[..., EdgeSettings]
Journal = Callable[[], list[JournalLine]]
Eventually = Callable[..., None]
OutboxRows = Callable[[str], list[tuple[Any, ...]]]

NUMBERS = "SELECT sequence FROM inspections"
WAITING = "SELECT sequence FROM inspections WHERE kind = 'frame'"
WITHOUT_GATE = "SELECT sequence FROM inspections WHERE gate_grounds = ''"

WASHERS = {"kind": "synthetic", "product": "washer", "size": (64, 64)}
HASTY = {"first_resend_seconds": 0.3}


def test_parts_wait_for_a_service_and_go_out_at_its_birth(
    new_service: Any,
    start_edge: Any,
    settings_for: SettingsFor,
    make_profile: Any,
    outbox_rows: OutboxRows,
    eventually: Eventually,
) -> None:
    first = new_service("first")
    first.publish_profile(make_profile())
    assert start_edge(settings_for({**WASHERS, "parts": 1})).wait() == 0
    first.leave()
    edge = start_edge(settings_for({**WASHERS, "parts": 6}, send={"live_seconds": 250, "first_resend_seconds": 250}))
    eventually(lambda: len(outbox_rows(WAITING)) == 6)
    second = new_service("second")
    assert edge.wait(100) == 0
    assert len(set(second.parts())) == 6
    assert {channel for channel, _ in second.seen} == {"frame"}


def test_a_backlog_of_an_earlier_boot_goes_by_its_own_channel_beside_live_parts(
    new_service: Any,
    start_edge: Any,
    settings_for: SettingsFor,
    make_profile: Any,
    outbox_rows: OutboxRows,
    mosquitto: Broker,
    journal: Journal,
    eventually: Eventually,
) -> None:
    service = new_service()
    service.publish_profile(make_profile())
    assert start_edge(settings_for({**WASHERS, "parts": 1})).wait() == 0
    mosquitto.kill()
    edge = start_edge(settings_for({**WASHERS, "parts": 8, "seed": 1}, drain_seconds=0))
    eventually(lambda: len(outbox_rows(WAITING)) == 8)
    edge.stops.capture.set()
    assert edge.wait() == 0
    mosquitto.restart()
    assert start_edge(settings_for({**WASHERS, "parts": 8, "seed": 2}, send={"live_seconds": 250})).wait() == 0
    channels = {part: channel for channel, part in zip((c for c, _ in service.seen), service.parts(), strict=True)}
    assert {channels[f"washer-1-{number:06d}"] for number in range(8)} == {"backlog"}
    assert {channels[f"washer-2-{number:06d}"] for number in range(8)} == {"frame"}
    earlier = [line for line in journal() if line.part_id.startswith("washer-1")]
    assert {line.outcome for line in earlier} == {"normal"}
    assert {line.gate_grounds for line in earlier} <= {"deadline", "missed"}
    assert {line.latency_seconds for line in earlier} == {None}


@pytest.mark.slow
def test_a_broker_killed_and_restarted_loses_no_part(
    service: Any,
    start_edge: Any,
    settings_for: SettingsFor,
    mosquitto: Broker,
    journal: Journal,
    eventually: Eventually,
) -> None:
    edge = start_edge(settings_for({**WASHERS, "parts": 60}, send=HASTY, trigger={"takt_seconds": 0.05}))
    eventually(lambda: len(service.seen) > 8)
    mosquitto.kill()
    mosquitto.restart()
    assert edge.wait() == 0
    lines = journal()
    assert Counter(line.part_id for line in lines) == Counter(f"washer-0-{number:06d}" for number in range(60))
    assert {line.outcome for line in lines} == {"normal"}


def test_lost_verdicts_are_asked_for_again_and_repeats_change_nothing(
    *,
    service: Any,
    start_edge: Any,
    settings_for: SettingsFor,
    journal: Journal,
    outbox_rows: OutboxRows,
    eventually: Eventually,
) -> None:
    service.answers = False
    edge = start_edge(settings_for({**WASHERS, "parts": 3}, send=HASTY, gate={"kind": "log", "deadline_seconds": 0.5}))
    eventually(lambda: min(Counter(service.parts()).values(), default=0) >= 2 and len(set(service.parts())) == 3)
    eventually(lambda: not outbox_rows(WITHOUT_GATE))
    service.answers = True
    assert edge.wait() == 0
    assert {line.sends > 1 for line in journal()} == {True}
    assert {(line.gate_action, line.gate_grounds) for line in journal()} == {("reject", "deadline")}


def test_messages_damaged_on_the_way_are_sent_again_until_they_arrive_whole(
    service: Any, start_edge: Any, settings_for: SettingsFor, journal: Journal
) -> None:
    damaged: set[bytes] = set()

    def damage_each_once(payload: bytes) -> bytes:
        if payload in damaged:
            return payload
        damaged.add(payload)
        return payload[:-7]

    service.damage = damage_each_once
    assert start_edge(settings_for({**WASHERS, "parts": 5}, send={"first_resend_seconds": 250})).wait(100) == 0
    assert len(damaged) == 5
    assert {(line.outcome, line.sends) for line in journal()} == {("normal", 2)}


def test_a_full_outbox_makes_parts_drops_and_goes_on_when_there_is_room(
    *,
    service: Any,
    start_edge: Any,
    settings_for: SettingsFor,
    tmp_path: Path,
    outbox_rows: OutboxRows,
    eventually: Eventually,
) -> None:
    service.answers = False
    outbox = {"path": tmp_path / "edge" / "outbox.sqlite", "budget_bytes": 1024**2}
    source = {**WASHERS, "size": (600, 600)}
    service.publish_profile(_large_profile(service))
    edge = start_edge(settings_for(source, outbox=outbox, send=HASTY))
    eventually(lambda: any(isinstance(message, DropMessage) for _, message in service.seen))
    assert {message.reason for _, message in service.seen if isinstance(message, DropMessage)} == {"outbox_full"}
    service.answers = True
    eventually(lambda: edge.stops.capture.set() or len(outbox_rows(WAITING)) == 0)


def _large_profile(service: Any) -> Any:
    small = next(iter(service.profiles.values()))
    raw = msgspec.structs.replace(small.ladder[0], codec="raw")
    return sealed(msgspec.structs.replace(small, input_size=(300, 300), ladder=(raw,)))


EDGE = """
import json, logging, sys
from edge_node.gate import gates
from edge_node.app import run
from edge_node.settings import EdgeSettings

class Paper(gates.GATES["log"]):
    def act(self, command, left_seconds, on_failure):
        with open(sys.argv[2], "a") as paper:
            paper.write(command.inspection_id + " " + command.grounds + "\\n")

gates.GATES["log"] = Paper
sys.exit(run(EdgeSettings(**json.loads(sys.argv[1]))))
"""


@pytest.mark.slow
def test_sigkill_of_the_edge_loses_no_part_and_moves_the_gate_at_most_once(
    service: Any, settings_for: SettingsFor, tmp_path: Path, journal: Journal, eventually: Eventually
) -> None:
    settings = settings_for(
        {**WASHERS}, trigger={"takt_seconds": 0.03}, send=HASTY, gate={"kind": "log", "deadline_seconds": 0.4}
    )
    paper = tmp_path / "paper.txt"

    def boot(parts: int, seed: int) -> "subprocess.Popen[bytes]":
        table = settings.model_dump(mode="json")
        table["source"] |= {"parts": parts, "seed": seed}
        return subprocess.Popen([sys.executable, "-c", EDGE, json.dumps(table), str(paper)], stderr=subprocess.DEVNULL)

    for seed in range(5):
        before = len(service.seen)
        service.answers = seed % 2 == 0
        with boot(10_000, seed) as process:
            eventually(lambda before=before: len(service.seen) > before + 7)
            process.send_signal(signal.SIGKILL)
    service.answers = True
    with boot(3, 99) as process:
        assert process.wait(120) == 0
    lines = journal()
    assert [line.sequence for line in lines] == list(range(1, len(lines) + 1))
    assert {line.outcome for line in lines} <= {"normal", "dropped"}
    assert {line.reason for line in lines if line.outcome == "dropped"} <= {"interrupted"}
    moved = [line.split()[0] for line in paper.read_text().splitlines()]
    assert len(moved) == len(set(moved))
    assert set(moved) <= {line.inspection_id for line in lines if line.gate_action}
    assert {part for part in service.parts() if part.startswith("washer-99")} == {
        f"washer-99-{n:06d}" for n in range(3)
    }


def test_where_the_oldest_pictures_are_dropped_every_part_is_judged_or_a_drop_with_its_reason(
    *,
    service: Any,
    start_edge: Any,
    settings_for: SettingsFor,
    tmp_path: Path,
    journal: Journal,
    outbox_rows: OutboxRows,
    eventually: Eventually,
) -> None:
    service.answers = False
    outbox = {"path": tmp_path / "edge" / "outbox.sqlite", "budget_bytes": 1024**2, "when_full": "drop_oldest"}
    service.publish_profile(_large_profile(service))
    parts = 12
    edge = start_edge(settings_for({**WASHERS, "parts": parts}, outbox=outbox, send=HASTY))
    eventually(lambda: len(outbox_rows(NUMBERS)) == parts)
    service.answers = True
    assert edge.wait() == 0
    lines = journal()
    assert [line.sequence for line in lines] == list(range(1, parts + 1))
    assert {line.reason for line in lines if line.outcome == "dropped"} == {"superseded"}
    assert lines[-1].outcome == "normal"


def test_a_disk_that_fails_for_moments_ends_no_loop_of_the_station(
    *,
    service: Any,
    start_edge: Any,
    settings_for: SettingsFor,
    picture_folder: Path,
    journal: Journal,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every loop reads the outbox: the publisher, the status, the verdicts, and the supervisor of the station."""
    state, message, confirm, calls = Outbox.state, Outbox.message, Outbox.confirm, count()

    def fail_now_and_then() -> None:
        if next(calls) % 4 == 3:
            raise UnavailableError("input/output error")

    def failing(method: Any) -> Any:
        def call(self: Outbox, *arguments: Any) -> Any:
            fail_now_and_then()
            return method(self, *arguments)

        return call

    monkeypatch.setattr(Outbox, "state", property(failing(state.__get__)))
    monkeypatch.setattr(Outbox, "message", failing(message))
    monkeypatch.setattr(Outbox, "confirm", failing(confirm))
    settings = settings_for({"kind": "folder", "directory": picture_folder}, send={"first_resend_seconds": 0.5})
    assert start_edge(settings).wait() == 0
    assert {line.outcome for line in journal()} == {"normal"}
    assert len(journal()) == 8
