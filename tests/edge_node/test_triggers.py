"""When a part is there: the clock's takt, or a message."""

import threading
import time
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from edge_node.capture.sources.folder import FolderSource
from edge_node.capture.sources.triggers import MessageTriggers, Takt, read_trigger
from patchline.wire.errors import MisconfiguredError, UnreadableError


def test_a_takt_keeps_its_schedule_and_its_delay() -> None:
    started = time.monotonic()
    moments = [time.monotonic() - started for _ in islice(Takt(0.02, threading.Event(), delay_seconds=0.05), 5)]
    assert moments[0] >= 0.05
    assert moments[4] >= 0.05 + 4 * 0.02


def test_a_takt_ends_when_stopped() -> None:
    stop = threading.Event()
    parts = iter(Takt(1000.0, stop))
    assert next(parts) is None
    threading.Timer(0.02, stop.set).start()
    assert list(parts) == []


def test_messages_are_taken_in_order_and_refused_when_too_many_wait() -> None:
    stop = threading.Event()
    triggers = MessageTriggers(stop, limit=2)
    assert [triggers.offer(part) for part in ("a", None, "c")] == [True, True, False]
    parts = iter(triggers)
    assert [next(parts), next(parts)] == ["a", None]
    stop.set()
    assert list(parts) == []


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
    ],
)
def test_a_part_id_is_read_from_json_or_plain_text(payload: bytes, part_id: str | None) -> None:
    assert read_trigger(payload) == part_id


@pytest.mark.parametrize("payload", [b"\xff", b'{"part_id": [1]}', b"{", b"x" * 5000])
def test_a_trigger_of_another_shape_is_unreadable(payload: bytes) -> None:
    with pytest.raises(UnreadableError):
        read_trigger(payload)


@given(st.binary(max_size=200))
def test_no_bytes_break_a_trigger(payload: bytes) -> None:
    try:
        part_id = read_trigger(payload)
    except UnreadableError:
        return
    assert part_id is None or len(part_id) <= 256


def test_a_watched_folder_takes_each_new_picture_once_it_is_whole(tmp_path: Path) -> None:
    pixels = np.zeros((8, 8, 3), dtype=np.uint8)
    stop = threading.Event()
    shots = FolderSource(tmp_path, Takt(0.005, stop), watch=True).frames()
    Image.fromarray(pixels).save(tmp_path / "first.png")
    assert next(shots).part_id == "first"
    whole = (tmp_path / "first.png").read_bytes()
    (tmp_path / "second.png").write_bytes(whole)
    shot = next(shots)
    assert (shot.part_id, shot.open().shape) == ("second", (8, 8, 3))
    stop.set()
    assert list(shots) == []


def test_an_empty_folder_is_an_error_unless_it_is_watched(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(MisconfiguredError, match="holds no picture"):
        FolderSource(tmp_path, Takt(0, threading.Event()))
    FolderSource(tmp_path, Takt(0, threading.Event()), watch=True)
