"""Triggers that find no place are told as drops, and never stand in the way of the verdicts that make room."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from edge_node.capture.capture_loop import Capture
from edge_node.capture.sources.triggers import MessageTriggers
from edge_node.capture.trigger_overflow import TriggerOverflow
from edge_node.control.active_encoder import ActiveEncoder
from edge_node.delivery.inbox import Inbox
from edge_node.metrics import EdgeMetrics
from edge_node.outbox.outbox import Outbox
from edge_node.outbox.rows import Closing, Row
from patchline.mqtt.delivery import Delivery
from patchline.wire.errors import UnavailableError, UnreadableError

STATION = "plant/line1/cam1"
TOPIC = "plc/part"
PATIENCE_SECONDS = 60.0


class Nobody:
    """Stands in for source, publisher and gatekeeper."""

    def kept(self, row: Row, *, keep_seconds: float = 0.0) -> None:
        del row, keep_seconds

    def watch(self, row: Row) -> None:
        del row

    def frames(self) -> Iterator[Any]:
        return iter(())


@contextmanager
def running(*loops: Callable[[threading.Event], None]) -> Iterator[None]:
    stop = threading.Event()
    threads = [threading.Thread(target=loop, args=(stop,)) for loop in loops]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(PATIENCE_SECONDS)


def capture_into(outbox: Outbox, stop: threading.Event, metrics: EdgeMetrics) -> Capture:
    nobody: Any = Nobody()
    return Capture(
        nobody,
        outbox=outbox,
        active_encoder=ActiveEncoder(),
        gate_controller=nobody,
        publisher=nobody,
        station=STATION,
        metrics=metrics,
        stop=stop,
    )


def trigger(part_id: str, *, retained: bool = False) -> Delivery:
    return Delivery(topic=TOPIC, payload=part_id.encode(), retained=retained)


def fill(outbox: Outbox, make_trigger: Any) -> Row:
    """Take all room, that of the drops included; the one row that a verdict can close."""
    row: Row = outbox.reserve(make_trigger())
    outbox.append(row, bytes(1_058_000), "drop", stages={})
    with pytest.raises(UnavailableError, match="outbox is full"):
        outbox.reserve(make_trigger())
    return row


def test_verdicts_are_heard_while_triggers_wait_for_a_full_outbox(
    open_outbox: Any, make_trigger: Any, eventually: Callable[..., None]
) -> None:
    """Only a verdict makes room, so the thread that hears verdicts must not be the one that waits for room."""
    outbox, metrics, stop = open_outbox(budget_bytes=10_000), EdgeMetrics(), threading.Event()
    row = fill(outbox, make_trigger)
    triggers = MessageTriggers(stop, limit=1)
    trigger_overflow = TriggerOverflow(triggers, capture_into(outbox, stop, metrics).supersede, metrics)
    inbox = Inbox(metrics)
    inbox.on(TOPIC, trigger_overflow.receive)
    inbox.on("verdict", lambda _: outbox.confirm(row.inspection_id, Closing(outcome="normal")))
    for number in range(5):
        inbox.put(trigger(f"part-{number}"))
    inbox.put(Delivery(topic="vad/verdict", payload=b""))
    with running(inbox.run, trigger_overflow.run):
        eventually(lambda: outbox.row(row.inspection_id) is None)
        eventually(lambda: len(outbox.pending()) == 4)
        stop.set()
    assert [(each.part_id, each.kind) for each in outbox.pending()] == [
        ("part-1", "drop"),
        ("part-2", "drop"),
        ("part-3", "drop"),
        ("part-4", "drop"),
        ("part-0", "drop"),
    ]


def test_what_waited_for_its_picture_when_the_station_was_stopped_is_told(open_outbox: Any) -> None:
    outbox, metrics, stop = open_outbox(), EdgeMetrics(), threading.Event()
    triggers = MessageTriggers(stop)
    trigger_overflow = TriggerOverflow(triggers, capture_into(outbox, stop, metrics).supersede, metrics)
    trigger_overflow.receive(trigger("waited"))
    stop.set()
    trigger_overflow.receive(trigger("came too late"))
    ended = threading.Event()
    ended.set()
    trigger_overflow.run(ended)
    assert sorted(row.part_id for row in outbox.pending()) == ["came too late", "waited"]


def test_a_part_that_cannot_even_be_remembered_is_counted_and_named(caplog: pytest.LogCaptureFixture) -> None:
    metrics, stop = EdgeMetrics(), threading.Event()
    trigger_overflow = TriggerOverflow(MessageTriggers(stop, limit=1), lambda _: None, metrics)
    for number in range(1 + 1024 + 1):
        trigger_overflow.receive(trigger(f"part-{number}"))
    assert "part part-1025 is lost" in caplog.text
    assert metrics.registry.get_sample_value("vad_edge_inbox_overflows_total") == 1


def test_a_retained_trigger_is_none() -> None:
    """The broker would hand it out at every reconnection: a part for each that nobody ever made."""
    trigger_overflow = TriggerOverflow(MessageTriggers(threading.Event()), lambda _: None, EdgeMetrics())
    with pytest.raises(UnreadableError, match="retained"):
        trigger_overflow.receive(trigger("part", retained=True))
