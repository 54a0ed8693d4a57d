"""The door for monitors says what is so, with the reason, and only where it was opened."""

import urllib.request
from collections.abc import Callable, Iterator
from urllib.error import HTTPError

import pytest
from prometheus_client import CollectorRegistry, Gauge

from patchline.replay.broker import free_port
from patchline.runtime.endpoints import Health, serve
from patchline.wire.errors import MisconfiguredError

Ask = Callable[[str], tuple[int, str]]


@pytest.fixture
def reasons() -> dict[str, list[str]]:
    return {"alive": [], "ready": []}


@pytest.fixture
def port(reasons: dict[str, list[str]]) -> Iterator[int]:
    registry, port = CollectorRegistry(), free_port()
    Gauge("vad_test_depth", "Something to read", registry=registry).set(3)
    health = Health(alive=lambda: reasons["alive"], ready=lambda: reasons["ready"])
    stop = serve(registry, port, "127.0.0.1", health=health)
    yield port
    stop()


@pytest.fixture
def ask(port: int) -> Ask:
    def asked(path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            with error:
                return error.code, error.read().decode()

    return asked


def test_metrics_are_served(ask: Ask) -> None:
    status, text = ask("/metrics")
    assert status == 200
    assert "vad_test_depth 3.0" in text


def test_a_program_with_nothing_against_it_is_alive_and_ready(ask: Ask) -> None:
    assert ask("/healthz") == (200, "ok\n")
    assert ask("/readyz") == (200, "ok\n")


def test_what_speaks_against_it_is_said_line_by_line(ask: Ask, reasons: dict[str, list[str]]) -> None:
    reasons["ready"] += ["not connected to the broker", "no artifact is loaded"]
    assert ask("/readyz") == (503, "not connected to the broker\nno artifact is loaded\n")
    assert ask("/healthz") == (200, "ok\n")


def test_nothing_else_is_behind_the_door(ask: Ask) -> None:
    for path in ("/", "/metrics/", "/../etc/passwd", "/healthz?x=1/.."):
        assert ask(path)[0] == (200 if path.startswith("/healthz") else 404)


def test_a_port_that_is_taken_is_a_setting_to_correct(port: int) -> None:
    with pytest.raises(MisconfiguredError, match=str(port)):
        serve(CollectorRegistry(), port, "127.0.0.1", health=Health())


def test_the_port_is_free_again_after_the_stop() -> None:
    port = free_port()
    for _ in range(2):
        serve(CollectorRegistry(), port, "127.0.0.1", health=Health())()
