"""What the station says about itself reaches the broker, whatever the link and the disk do meanwhile."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_node.control.active_encoder import ActiveEncoder
from edge_node.control.command_handler import CommandHandler
from edge_node.control.profile_cache import ProfileCache
from edge_node.control.status_publisher import StatusPublisher
from edge_node.metrics import EdgeMetrics
from edge_node.outbox.outbox import Outbox
from patchline.mqtt.delivery import Acknowledged, Delivery
from patchline.runtime.watchdog import Watchdog
from patchline.wire.errors import UnavailableError, UnreadableError
from patchline.wire.messages import (
    AssetReference,
    Command,
    EdgeStatus,
    Profile,
    ProfileCodec,
    from_json,
    sealed,
    to_json,
)
from patchline.wire.topics import Station, Topics

STATION = "plant/line1/cam1"


class Line:
    """A link that can be down, or whose broker can refuse."""

    def __init__(self) -> None:
        self.up = True
        self.refusals = 0
        self.said: list[EdgeStatus] = []

    def publish(
        self, topic: str, payload: bytes, *, on_done: Callable[[Acknowledged], None] | None = None, **_properties: Any
    ) -> None:
        assert topic.endswith("/status")
        if not self.up:
            raise UnavailableError("the link is not connected")
        accepted = self.refusals == 0
        self.refusals = max(0, self.refusals - 1)
        if accepted:
            self.said.append(from_json(payload, EdgeStatus))
        assert on_done is not None
        on_done(Acknowledged(accepted=accepted, reason=""))

    def answers(self) -> list[tuple[str, str]]:
        return [(status.answers, status.error) for status in list(self.said) if status.answers]


class Desk:
    """A status publisher at work, and the handler whose answers it publishes."""

    def __init__(self, outbox: Outbox, folder: Path) -> None:
        self.line, self.active_encoder = Line(), ActiveEncoder()
        self.cache = ProfileCache(folder / "profile", STATION)
        self.status_publisher = StatusPublisher(
            Station.parse(STATION),
            Topics(),
            boot_id="boot",
            version="1",
            active_encoder=self.active_encoder,
            cache=self.cache,
            outbox=outbox,
            services=lambda: ("one", "two"),
        )
        self.commands = CommandHandler(self.active_encoder, self.status_publisher, EdgeMetrics())
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.status_publisher.run, args=(self.line, self.stop, Watchdog()))

    def command(self, command_id: str, name: Any, codec: str = "", *, retained: bool = False) -> None:
        payload = to_json(Command(command_id=command_id, name=name, codec=codec))
        self.commands.receive(Delivery(topic="t/command", payload=payload, retained=retained))


@pytest.fixture
def outbox(open_outbox: Any) -> Outbox:
    return open_outbox()  # type: ignore[no-any-return]


@pytest.fixture
def desk(outbox: Outbox, tmp_path: Path) -> Any:
    made = Desk(outbox, tmp_path)
    made.thread.start()
    yield made
    made.stop.set()
    made.thread.join()


def test_every_command_is_answered_obeyed_or_not(desk: Desk, make_profile: Any, eventually: Any) -> None:
    desk.command("1", "use_codec", "png")
    desk.active_encoder.use(make_profile("png", "webp:80"))
    desk.command("2", "use_codec", "webp:80")
    desk.command("3", "use_codec", "webp:1")
    desk.command("4", "pause")
    eventually(lambda: len(desk.line.answers()) == 4)
    errors = dict(desk.line.answers())
    assert [bool(errors[number]) for number in "1234"] == [True, False, True, False]
    assert (desk.line.said[-1].codec, desk.line.said[-1].paused) == ("webp:80", True)


def test_a_retained_command_is_refused_with_an_answer(desk: Desk, eventually: Any) -> None:
    desk.command("1", "pause", retained=True)
    eventually(desk.line.answers)
    assert "retain" in desk.line.answers()[0][1]
    assert not desk.active_encoder.paused


def test_a_command_id_that_was_answered_is_refused_with_an_answer(desk: Desk, eventually: Any) -> None:
    desk.command("1", "pause")
    desk.command("2", "resume")
    desk.command("1", "pause")
    eventually(lambda: len(desk.line.answers()) == 3)
    assert "answered already" in desk.line.answers()[2][1]
    assert not desk.active_encoder.paused


@pytest.mark.parametrize("payload", [b'{"command_id": "1", "name": "reboot"}', b'{"command_id": "1"}'])
def test_an_unreadable_command_is_answered_where_its_id_can_be_read(
    desk: Desk, eventually: Any, payload: bytes
) -> None:
    with pytest.raises(UnreadableError):
        desk.commands.receive(Delivery(topic="t/command", payload=payload))
    eventually(desk.line.answers)
    assert desk.line.answers()[0][1]


def test_an_answer_waits_for_the_link(desk: Desk, eventually: Any) -> None:
    desk.line.up = False
    desk.command("1", "pause")
    desk.command("2", "resume")
    desk.line.up = True
    eventually(lambda: desk.line.answers() == [("1", ""), ("2", "")])


def test_an_answer_that_the_broker_did_not_take_is_published_again(desk: Desk, eventually: Any) -> None:
    desk.line.refusals = 3
    desk.command("1", "pause")
    eventually(lambda: desk.line.answers() == [("1", "")])


def test_a_disk_that_fails_for_a_moment_ends_nothing_and_loses_no_answer(
    desk: Desk, outbox: Outbox, eventually: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = [UnavailableError("input/output error")] * 3
    state = type(outbox).state

    def failing(self: Outbox) -> Any:
        if failures:
            raise failures.pop()
        return state.__get__(self)

    monkeypatch.setattr(type(outbox), "state", property(failing))
    desk.command("1", "pause")
    eventually(lambda: desk.line.answers() == [("1", "")])
    assert desk.thread.is_alive()


def test_one_service_is_asked_for_one_range_of_a_missing_asset(desk: Desk, eventually: Any) -> None:
    asset = AssetReference(name="codec", sha256="a" * 64, size=10**6)
    profile_codec = ProfileCodec(codec="features", artifact="b" * 64, assets=(asset,))
    desk.cache.offer(sealed(Profile(station=STATION, input_size=(32, 32), ladder=(profile_codec,))))
    desk.status_publisher.announce()
    eventually(lambda: any(status.missing_ranges for status in list(desk.line.said)))
    asked = next(status for status in desk.line.said if status.missing_ranges)
    assert (asked.asked_service, asked.missing_assets) == ("one", ("a" * 64,))
    assert asked.missing_ranges is not None
    assert [(wanted.offset, wanted.size < 10**5) for wanted in asked.missing_ranges] == [(0, True)]
