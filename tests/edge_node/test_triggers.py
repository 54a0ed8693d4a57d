"""When a part is there: the clock's takt, or a message."""

import threading
import time
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_node.capture.takt import Takt
from edge_node.capture.trigger_message import TriggerMessage, printable, read_trigger


def test_a_takt_keeps_its_schedule_and_its_delay() -> None:
    started = time.monotonic()
    moments = [time.monotonic() - started for _ in islice(Takt(0.02, threading.Event(), delay_seconds=0.05), 5)]
    assert moments[0] >= 0.05
    assert moments[4] >= 0.05 + 4 * 0.02


def test_a_takt_ends_when_stopped() -> None:
    stop = threading.Event()
    parts = iter(Takt(1000.0, stop))
    assert next(parts).trigger.part_id is None
    threading.Timer(0.02, stop.set).start()
    assert list(parts) == []


def test_triggers_that_were_due_during_a_stall_are_counted_and_not_made_up_for() -> None:
    missed: list[int] = []
    parts = iter(Takt(0.1, threading.Event(), on_missed=missed.append))
    next(parts)
    time.sleep(0.35)
    next(parts)
    assert sum(missed) >= 2
    before = len(missed)
    next(parts)
    assert len(missed) == before or missed[-1] < 3


def test_no_trigger_is_missed_while_a_clock_rests() -> None:
    missed: list[int] = []
    takt = Takt(0.05, threading.Event(), on_missed=missed.append)
    parts = iter(takt)
    next(parts)
    time.sleep(0.2)
    takt.rest()
    next(parts)
    assert sum(missed) <= 1


@pytest.mark.parametrize(
    ("payload", "part_id"),
    [
        (b'{"part_id": "A-1"}', "A-1"),
        (b'{"part_id": 17, "line": 4}', "17"),
        (b'{"part_id": null}', None),
        (b"{}", None),
        (b"  A-2\n", "A-2"),
        (b"", None),
        (b"x" * 300, "x" * 256),
        (b'{"part_id": "A\\u0000B"}', "A\\x00B"),
        (b"A\x1b[31m", "A\\x1b[31m"),
    ],
)
def test_a_part_id_is_read_from_json_or_plain_text_and_its_control_characters_are_escaped(
    payload: bytes, part_id: str | None
) -> None:
    message, fault = read_trigger(payload)
    assert (message.part_id, fault) == (part_id, "")


@pytest.mark.parametrize(
    "payload", [b"\xff", "Gehäuse".encode("latin-1"), b'{"part_id": [1]}', b"{", b'{"part_id": "\\ud800"}', b"x" * 5000]
)
def test_a_trigger_that_cannot_be_read_is_a_part_without_an_id(payload: bytes) -> None:
    message, fault = read_trigger(payload)
    assert message == TriggerMessage()
    assert fault


@pytest.mark.parametrize(
    ("text", "at"),
    [("1700000000.5", 1700000000.5), ('"2023-11-14T22:13:20Z"', 1700000000.0), ('"2023-11-14T22:13:20"', None)],
)
def test_a_trigger_may_carry_the_plants_time_with_its_zone(text: str, at: float | None) -> None:
    message, fault = read_trigger(f'{{"part_id": "A", "trigger_id": 7, "triggered_at": {text}}}'.encode())
    assert (message.part_id, message.trigger_id, message.triggered_at, fault) == ("A", "7", at, "")


@given(st.binary(max_size=200))
def test_no_bytes_break_a_trigger(payload: bytes) -> None:
    message, _ = read_trigger(payload)
    assert message.part_id is None or len(str(message.part_id)) <= 256


@given(st.text(st.characters(codec=None), max_size=40))
def test_an_id_from_outside_can_always_be_printed_and_encoded(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    shown.encode("utf-8")
