"""A camera that accepts and says nothing: every part is a drop, readiness says so, and a stop does not wait."""

import json
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from edge_node.outbox.journal import JournalLine
from patchline.replay.broker import free_port

pytestmark = pytest.mark.broker

EDGE = """
import json, sys
from edge_node.app import run
from edge_node.settings import EdgeSettings
sys.exit(run(EdgeSettings(**json.loads(sys.argv[1]))))
"""


@pytest.fixture
def silent_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_hanging_camera_ends_each_part_as_a_drop_and_no_stop_waits_for_it(
    service: Any,
    settings_for: Callable[..., Any],
    silent_port: int,
    journal: Callable[[], list[JournalLine]],
    eventually: Callable[..., None],
) -> None:
    pytest.importorskip("cv2", reason="OpenCV is not installed (extra camera)")
    port = free_port()
    settings = settings_for(
        {"kind": "camera", "device": f"rtsp://127.0.0.1:{silent_port}/x", "exposure_timeout_seconds": 1.0},
        trigger={"takt_seconds": 0.3},
        metrics={"port": port},
        gate={"kind": "log", "deadline_seconds": 0.5, "tolerance_seconds": 5.0},
        finish_when_drained=False,
        drain_seconds=0,
    )

    def readiness() -> str:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=10).close()
        except urllib.error.HTTPError as error:
            with error:
                return error.read().decode()
        except OSError:
            pass
        return ""

    command = [sys.executable, "-c", EDGE, json.dumps(settings.model_dump(mode="json"))]
    with subprocess.Popen(command) as process:
        eventually(lambda: len(service.parts()) >= 6)
        eventually(lambda: "no picture for" in readiness())
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    closed = journal()
    assert {line.outcome for line in closed} == {"dropped"}
    assert {line.reason for line in closed} <= {"capture_failed", "superseded", "interrupted"}
    assert {(line.gate_action, line.gate_grounds) for line in closed} <= {("reject", "deadline"), ("", "")}
