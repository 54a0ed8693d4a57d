"""A picture is taken in time or not at all, and a camera that hangs holds up neither the line nor a stop."""

import threading
import time
from collections.abc import Callable, Iterator
from math import inf
from typing import Any

import numpy as np
import pytest

from edge_node.capture.dropped import Dropped
from edge_node.capture.exposure import Exposures
from edge_node.capture.sources.camera import CameraSource
from edge_node.capture.sources.frame_reader import FrameReader
from edge_node.capture.sources.protocol import Pixels, Shot, SourceContext
from edge_node.outbox.outbox import Outbox
from edge_node.outbox.rows import Row
from patchline.wire.errors import UnavailableError, UnreadableError

PICTURE = np.zeros((4, 4, 3), dtype=np.uint8)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def row(open_outbox: Callable[..., Outbox], make_trigger: Any) -> Row:
    made: Row = open_outbox().reserve(make_trigger(captured_monotonic=100.0))
    return made


def exposures(clock: Clock, **told: Any) -> Exposures:
    usual = {"limit_seconds": 60.0, "max_age_seconds": 1.0, "live": True, "stop": threading.Event()}
    return Exposures(**{**usual, **told}, clock=clock)


def test_a_young_trigger_gets_its_picture(row: Row) -> None:
    assert exposures(Clock()).take(row, Shot("A", lambda: PICTURE)) is PICTURE


@pytest.mark.parametrize("age", [1.01, 10.0, 1e6])
def test_an_old_trigger_gets_none_and_nothing_is_exposed(row: Row, age: float) -> None:
    clock = Clock()
    clock.now += age
    with pytest.raises(Dropped, match="the trigger is") as caught:
        exposures(clock).take(row, Shot("A", lambda: pytest.fail("exposed")))
    assert caught.value.reason == "superseded"


@pytest.mark.parametrize(("live", "drops"), [(True, True), (False, False)])
def test_a_stall_during_the_exposure_counts_where_the_picture_shows_the_moment(
    row: Row, live: bool, drops: bool
) -> None:
    clock = Clock()

    def stall() -> Pixels:
        clock.now += 10.0
        return PICTURE

    taken = exposures(clock, live=live)
    if drops:
        with pytest.raises(Dropped, match="the trigger is"):
            taken.take(row, Shot("A", stall))
    else:
        assert taken.take(row, Shot("A", stall)) is PICTURE


@pytest.mark.parametrize("error", [UnreadableError("bad"), UnavailableError("away"), FileNotFoundError("gone")])
def test_a_picture_that_cannot_be_had_is_one_drop(row: Row, error: Exception) -> None:
    def fail() -> Pixels:
        raise error

    taken = exposures(Clock())
    with pytest.raises(Dropped) as caught:
        taken.take(row, Shot("A", fail))
    assert caught.value.reason == "capture_failed"
    assert taken.take(row, Shot("B", lambda: PICTURE)) is PICTURE


def test_while_a_camera_hangs_each_trigger_is_a_drop_at_once_and_its_late_picture_is_nobodys(
    row: Row, eventually: Callable[..., None]
) -> None:
    answers = threading.Event()

    def hang() -> Pixels:
        answers.wait(60)
        return PICTURE

    taken = exposures(Clock(), limit_seconds=0.1, max_age_seconds=inf)
    with pytest.raises(Dropped, match=r"no picture within 0\.1 s"):
        taken.take(row, Shot("A", hang))
    assert "has not answered" in taken.problem()
    for _ in range(5):
        with pytest.raises(Dropped, match="has not answered"):
            taken.take(row, Shot("B", lambda: pytest.fail("exposed")))
    answers.set()
    eventually(lambda: taken.problem() == "")
    other = PICTURE + 1
    assert taken.take(row, Shot("C", lambda: other)) is other


def test_a_stop_does_not_wait_for_a_camera_that_hangs(row: Row) -> None:
    stop, answers = threading.Event(), threading.Event()
    stop.set()

    def hang() -> Pixels:
        answers.wait(60)
        return PICTURE

    with pytest.raises(Dropped) as caught:
        exposures(Clock(), stop=stop, limit_seconds=1e6).take(row, Shot("A", hang))
    assert caught.value.reason == "interrupted"
    answers.set()


class Film:
    """A camera whose every frame shows when it was read; it hangs when told to, and fails when it is away."""

    def __init__(self) -> None:
        self.hangs, self.away = threading.Event(), False
        self.frames = 0

    def grab(self) -> bool:
        while self.hangs.is_set():
            time.sleep(0.01)
        time.sleep(0.005)
        self.frames += 1
        return not self.away

    def retrieve(self) -> tuple[bool, Any]:
        return True, np.full((2, 2, 3), self.frames % 250, dtype=np.uint8)

    def release(self) -> None:
        pass


@pytest.fixture
def film() -> Iterator[Film]:
    made = Film()
    yield made
    made.hangs.clear()


@pytest.fixture
def reader(film: Film) -> Iterator[FrameReader]:
    made = FrameReader(lambda: film, "film")
    made.start()
    yield made
    made.stop()


def test_a_camera_never_gives_a_frame_from_before_the_trigger(film: Film, reader: FrameReader) -> None:
    for _ in range(10):
        reader.frame_after(0.0, skip=0, seconds=60)
        time.sleep(0.05)
        before = film.frames
        frame = reader.frame_after(time.monotonic(), skip=0, seconds=60)
        assert int(frame[0, 0, 0]) > before % 250 or film.frames >= 250


def test_a_camera_that_hangs_is_told_and_found_again(film: Film, reader: FrameReader, eventually: Any) -> None:
    reader.frame_after(0.0, skip=0, seconds=60)
    film.hangs.set()
    with pytest.raises(UnavailableError, match="gives no picture"):
        reader.frame_after(time.monotonic() + 0.05, skip=0, seconds=0.2)
    eventually(lambda: "given no picture" in reader.problem())
    film.hangs.clear()
    reader.frame_after(time.monotonic(), skip=0, seconds=60)
    assert reader.problem() == ""


def test_a_camera_that_is_away_is_opened_again(film: Film, reader: FrameReader) -> None:
    film.away = True
    with pytest.raises(UnavailableError):
        reader.frame_after(time.monotonic() + 0.1, skip=0, seconds=0.3)
    film.away = False
    reader.frame_after(time.monotonic(), skip=2, seconds=60)


@pytest.mark.parametrize(
    ("frame", "pixel"),
    [
        (np.full((2, 3), 9, dtype=np.uint8), [9, 9, 9]),
        (np.full((2, 3, 1), 9, dtype=np.uint8), [9, 9, 9]),
        (np.full((2, 3, 3), (1, 2, 3), dtype=np.uint8), [3, 2, 1]),
        (np.full((2, 3, 4), (1, 2, 3, 4), dtype=np.uint8), [3, 2, 1]),
        (np.full((2, 3), 0x0900, dtype=np.uint16), [9, 9, 9]),
        (np.zeros((2, 3, 2), dtype=np.uint8), None),
        (np.zeros((2, 3), dtype=np.float32), None),
        (np.zeros((0, 3, 3), dtype=np.uint8), None),
        (np.zeros(5, dtype=np.uint8), None),
    ],
)
def test_whatever_a_camera_delivers_is_a_picture_or_one_drop(frame: Any, pixel: list[int] | None) -> None:
    pytest.importorskip("cv2", reason="OpenCV is not installed (extra camera)")
    camera = CameraSource(CameraSource.Settings(kind="camera", device="none.avi"), SourceContext())
    if pixel is None:
        with pytest.raises(UnreadableError, match="is no picture"):
            camera._rgb(frame)
    else:
        found = camera._rgb(frame)
        assert found[0, 0].tolist() == pixel
        assert found.dtype == np.uint8
        assert found.flags.c_contiguous
