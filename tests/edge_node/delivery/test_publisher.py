"""What the publisher does with what the link tells it; its whole behaviour on a broker is in test_faults."""

import random
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from edge_node.delivery.publisher import Publisher
from edge_node.delivery.retry_schedule import RetrySchedule
from edge_node.delivery.ticket import SchedulePolicy
from edge_node.metrics import EdgeMetrics
from edge_node.outbox.outbox import Outbox
from edge_node.outbox.rows import Row
from patchline.mqtt.delivery import Acknowledged
from patchline.mqtt.send_window import TooLargeError
from patchline.wire.errors import UnavailableError
from patchline.wire.messages import DropMessage, unpack
from patchline.wire.topics import Station, Topics

OnDone = Callable[[Acknowledged], None]


class Wire:
    """A link whose broker answers as the test says."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes]] = []
        self.answer = Acknowledged(accepted=True, reason="Success")
        self.limit, self.window_full = 10**9, False
        self.started = self.stopped = False
        self.attempts = self.refused = 0

    def start(self) -> None:
        self.started = True

    def stop(self, timeout_seconds: float) -> None:
        self.stopped = timeout_seconds >= 0

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        content_type: str = "",
        correlation: bytes = b"",
        user: tuple[tuple[str, str], ...] = (),
        on_done: OnDone | None = None,
    ) -> None:
        self.attempts += 1
        if self.window_full:
            raise UnavailableError("window full")
        if len(payload) > self.limit:
            raise TooLargeError(len(payload), self.limit, topic)
        assert (len(correlation), user[0][0]) == (36, "traceparent")
        assert content_type.startswith("application/vnd.patchline.frame")
        self.sent.append((topic.rpartition("/")[2], payload))
        assert on_done is not None
        self.refused += not self.answer.accepted
        on_done(self.answer)  # before publish returns, as a quick broker may


class Scene:
    def __init__(self, outbox: Outbox) -> None:
        self.outbox, self.live, self.slow, self.metrics = outbox, Wire(), Wire(), EdgeMetrics()
        schedule = RetrySchedule(SchedulePolicy(live_seconds=1e9, first_resend_seconds=1e6), random.Random(1))
        self.publisher = Publisher(
            outbox,
            schedule,
            topics=Topics(),
            station=Station.parse("plant/line1/cam1"),
            metrics=self.metrics,
            open_backlog=self._open,
        )
        self.publisher.attach(self.live)

    def _open(self, publisher: Publisher) -> Wire:
        publisher.connected("backlog")
        return self.slow

    def keep(self, make_trigger: Any, message: bytes = b"message", *, historical: bool = False) -> Row:
        row = self.outbox.reserve(make_trigger())
        self.outbox.append(row, message, "frame", stages={})
        self.publisher.kept(row, historical=historical)
        return row


@pytest.fixture
def scene(open_outbox: Any) -> Iterator[Scene]:
    made = Scene(open_outbox())
    stop = threading.Event()
    thread = threading.Thread(target=made.publisher.run, args=(stop,))
    thread.start()
    yield made
    stop.set()
    made.publisher.wake()
    thread.join()


def test_nothing_is_sent_before_the_link_is_up(scene: Scene, make_trigger: Any, eventually: Any) -> None:
    scene.keep(make_trigger)
    assert scene.live.attempts == 0
    scene.publisher.connected("frame")
    eventually(lambda: scene.live.sent == [("frame", b"message")])


def test_an_accepted_message_is_not_repeated_until_a_service_is_born(
    scene: Scene, make_trigger: Any, eventually: Any
) -> None:
    scene.publisher.connected("frame")
    row = scene.keep(make_trigger)
    eventually(lambda: len(scene.live.sent) == 1)
    assert scene.publisher.progress(row.inspection_id).sends == 1
    scene.publisher.service_born()
    eventually(lambda: len(scene.live.sent) == 2)
    scene.publisher.closed(row.inspection_id)
    scene.publisher.service_born()
    other = scene.keep(make_trigger, b"other")
    eventually(lambda: len(scene.live.sent) == 3)
    assert scene.live.sent[2] == ("frame", b"other")
    assert scene.publisher.progress(other.inspection_id).sends == 1


def test_without_subscribers_it_waits_instead_of_spinning(scene: Scene, make_trigger: Any, eventually: Any) -> None:
    scene.live.answer = Acknowledged(accepted=False, reason="No matching subscribers")
    scene.publisher.connected("frame")
    scene.keep(make_trigger)
    eventually(lambda: scene.live.attempts >= 3)
    assert scene.live.attempts < 10
    scene.live.answer = Acknowledged(accepted=True, reason="Success")
    scene.publisher.service_born()
    eventually(lambda: len(scene.live.sent) > scene.live.refused)
    assert scene.metrics.registry.get_sample_value("vad_edge_refusals_total") == scene.live.refused


def test_a_full_window_is_tried_again_and_not_counted_as_a_send(
    scene: Scene, make_trigger: Any, eventually: Any
) -> None:
    scene.live.window_full = True
    scene.publisher.connected("frame")
    row = scene.keep(make_trigger)
    eventually(lambda: scene.live.attempts >= 2)
    assert scene.publisher.progress(row.inspection_id).sends == 0
    scene.live.window_full = False
    eventually(lambda: scene.live.sent)


def test_what_the_broker_would_never_take_becomes_a_drop(scene: Scene, make_trigger: Any, eventually: Any) -> None:
    scene.live.limit = 1000
    scene.publisher.connected("frame")
    scene.keep(make_trigger, b"x" * 2000)
    scene.keep(make_trigger, b"small")
    eventually(lambda: len(scene.live.sent) == 2)
    drops = [payload for _, payload in scene.live.sent if payload != b"small"]
    drop: DropMessage = unpack(drops[0], DropMessage)
    assert (drop.reason, drop.sequence) == ("too_large", 1)


def test_what_is_damaged_on_the_disk_becomes_a_drop(
    scene: Scene, make_trigger: Any, eventually: Any, tmp_path: Path
) -> None:
    scene.keep(make_trigger, b"a whole message")
    with closing(sqlite3.connect(tmp_path / "outbox.sqlite")) as connection, connection:
        connection.execute("UPDATE messages SET body = ?", (b"a whale message",))
    scene.publisher.connected("frame")
    eventually(lambda: scene.live.sent)
    drop: DropMessage = unpack(scene.live.sent[0][1], DropMessage)
    assert (drop.reason, drop.sequence) == ("interrupted", 1)
    assert "damaged on this disk" in drop.detail


def test_a_drop_that_is_damaged_on_the_disk_is_told_anew(
    scene: Scene, make_trigger: Any, eventually: Any, tmp_path: Path
) -> None:
    row = scene.outbox.reserve(make_trigger())
    scene.outbox.append(row, b"a whole drop", "drop", stages={})
    with closing(sqlite3.connect(tmp_path / "outbox.sqlite")) as connection, connection:
        connection.execute("UPDATE messages SET body = ?", (b"a whale drop",))
    scene.publisher.kept(row)
    scene.publisher.connected("frame")
    eventually(lambda: scene.live.sent)
    drop: DropMessage = unpack(scene.live.sent[0][1], DropMessage)
    assert (drop.reason, drop.sequence, drop.part_id) == ("interrupted", 1, row.part_id)


def test_the_late_word_of_a_backlog_link_that_was_given_up_harms_nothing(
    scene: Scene, make_trigger: Any, eventually: Any
) -> None:
    scene.publisher.connected("frame")
    old = scene.keep(make_trigger, b"old", historical=True)
    eventually(lambda: scene.slow.sent == [("backlog", b"old")])
    scene.publisher.closed(old.inspection_id)
    eventually(lambda: scene.slow.stopped)
    scene.publisher.connected("backlog")
    scene.publisher.disconnected("frame")
    scene.keep(make_trigger, b"older", historical=True)
    scene.publisher.connected("frame")
    eventually(lambda: ("backlog", b"older") in scene.slow.sent)


def test_the_backlog_has_a_link_of_its_own_while_there_is_one(scene: Scene, make_trigger: Any, eventually: Any) -> None:
    old = scene.keep(make_trigger, b"old", historical=True)
    scene.keep(make_trigger, b"live")
    assert not scene.slow.started
    scene.publisher.connected("frame")
    eventually(lambda: scene.live.sent == [("frame", b"live")] and scene.slow.sent == [("backlog", b"old")])
    scene.publisher.closed(old.inspection_id)
    eventually(lambda: scene.slow.stopped)
