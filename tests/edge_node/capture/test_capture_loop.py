"""Every trigger ends as a frame or as a drop with its reason."""

import threading
from collections.abc import Callable, Iterable
from math import inf
from typing import Any

import numpy as np
import pytest

from edge_node.capture.capture_loop import Capture
from edge_node.capture.exposure import Exposures
from edge_node.capture.frame_builder import FrameBuilder
from edge_node.capture.intake import TriggerIntake
from edge_node.capture.recorder import PartRecorder
from edge_node.capture.sources.protocol import Pixels, Shot, Source, SourceSettings
from edge_node.capture.takt import Takt
from edge_node.capture.trigger_loop import TriggerLoop
from edge_node.control.active_encoder import ActiveEncoder
from edge_node.encoding.image_encoder import encoder_of
from edge_node.metrics import EdgeMetrics
from edge_node.outbox.outbox import Outbox
from edge_node.outbox.rows import Row, Trigger
from patchline.vision.codecs.lookup import codec_of
from patchline.vision.pixels.preprocessing import resize
from patchline.wire.errors import MisconfiguredError, UnavailableError, UnreadableError
from patchline.wire.messages import DropMessage, EdgeMessage, FrameMessage, check_payload, unpack

STATION = "plant/line1/cam1"
PICTURE = np.random.default_rng(1).integers(0, 256, (50, 70, 3), dtype=np.uint8)


class Heard:
    """Stands in for the publisher and the gatekeeper."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.watched: list[Row] = []
        self.expected: list[str] = []

    def kept(self, row: Row, *, keep_seconds: float = 0.0) -> None:
        assert keep_seconds >= 0
        self.rows.append(row)

    def watch(self, row: Row) -> None:
        assert self.expected[-1] == row.inspection_id
        self.watched.append(row)

    def expect(self, trigger: Trigger) -> None:
        self.expected.append(trigger.inspection_id)


class Shots(Source):
    """Gives its shots one after another."""

    Settings = SourceSettings

    def __init__(self, *shots: Shot) -> None:
        self._shots = list(shots)

    def at(self, trigger: Trigger) -> Shot | None:
        del trigger
        return self._shots.pop(0) if self._shots else None


class Station:
    """The trigger loop and the capture loop of a station whose clock triggers at once."""

    def __init__(self, loop: TriggerLoop, capture: Capture) -> None:
        self.loop, self.capture = loop, capture

    def run(self, unfinished: Iterable[Row] = ()) -> None:
        thread = threading.Thread(target=self.loop.run)
        thread.start()
        try:
            self.capture.run(unfinished)
        finally:
            thread.join()


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def active_encoder(make_profile: Any) -> ActiveEncoder:
    ready = ActiveEncoder()
    ready.use(make_profile("png", "webp:80"))
    return ready


@pytest.fixture
def metrics() -> EdgeMetrics:
    return EdgeMetrics()


@pytest.fixture
def capture_of(heard: Heard, active_encoder: ActiveEncoder, metrics: EdgeMetrics) -> Callable[..., Station]:
    def make(outbox: Outbox, *shots: Shot, stop: threading.Event | None = None) -> Station:
        gate: Any = heard
        stop = stop or threading.Event()
        recorder = PartRecorder(outbox, heard, station=STATION, metrics=metrics, stop=stop)
        intake = TriggerIntake(Shots(*shots), recorder, gate, metrics, stop)
        capture = Capture(
            intake,
            exposures=Exposures(limit_seconds=60.0, max_age_seconds=inf, live=False, stop=threading.Event()),
            frames=FrameBuilder(STATION, metrics),
            recorder=recorder,
            active_encoder=active_encoder,
            metrics=metrics,
            stop=stop,
        )
        takt = Takt(0.0, threading.Event())
        return Station(TriggerLoop(takt, intake, active_encoder, stop, waits=True), capture)

    return make


def a_picture() -> Pixels:
    return PICTURE


def failing(error: Exception) -> Callable[[], Pixels]:
    def open_it() -> Pixels:
        raise error

    return open_it


def messages(outbox: Outbox) -> list[EdgeMessage]:
    found: list[EdgeMessage] = []
    for row in outbox.pending():
        message = outbox.message(row.sequence)
        assert message is not None
        found.append(unpack(message, EdgeMessage))
    return found


def test_a_shot_becomes_the_frame_the_profile_asks_for(open_outbox: Any, capture_of: Any, heard: Heard) -> None:
    outbox = open_outbox()
    capture_of(outbox, Shot("washer-1", a_picture), Shot(None, a_picture)).run()
    first, second = messages(outbox)
    assert isinstance(first, FrameMessage)
    check_payload(first)
    decoded = codec_of("png").decode(first.payload, (32, 32))
    assert np.array_equal(decoded, resize(PICTURE, (32, 32)))
    assert (first.station, first.part_id, first.sequence, first.codec) == (STATION, "washer-1", 1, "png")
    assert (second.part_id, second.sequence) == ("2", 2)
    assert first.stages.keys() == {"capture", "resize", "encode"}
    assert first.traceparent.split("-")[1] == first.inspection_id.replace("-", "")
    assert [row.sequence for row in heard.rows] == [row.sequence for row in heard.watched] == [1, 2]


@pytest.mark.parametrize(
    ("error", "detail"), [(UnreadableError("no picture"), "no picture"), (UnavailableError("unplugged"), "unplugged")]
)
def test_a_failed_exposure_is_a_drop(
    open_outbox: Any, capture_of: Any, heard: Heard, metrics: EdgeMetrics, error: Exception, detail: str
) -> None:
    outbox = open_outbox()
    capture_of(outbox, Shot("bad", failing(error)), Shot("good", a_picture)).run()
    drop, frame = messages(outbox)
    assert isinstance(drop, DropMessage)
    assert (drop.part_id, drop.reason, drop.detail, drop.sequence) == ("bad", "capture_failed", detail, 1)
    assert isinstance(frame, FrameMessage)
    assert len(heard.rows) == len(heard.watched) == 2
    assert metrics.registry.get_sample_value("vad_edge_drops_total", {"reason": "capture_failed"}) == 1


def test_any_other_exception_is_a_bug_and_loud_and_its_number_is_told_after_the_reboot(
    open_outbox: Any, capture_of: Any
) -> None:
    outbox = open_outbox()
    station = capture_of(outbox, Shot("bug", failing(ZeroDivisionError())))
    with pytest.raises(ZeroDivisionError):
        station.run()
    (row,) = outbox.pending()
    assert row.kind == "reserved"
    outbox.close()
    outbox = open_outbox("next")
    capture_of(outbox).run(outbox.pending())
    (drop,) = messages(outbox)
    assert isinstance(drop, DropMessage)
    assert (drop.reason, drop.part_id, drop.boot_id) == ("interrupted", "bug", "boot")


def test_what_the_codec_cannot_carry_is_a_drop(open_outbox: Any, capture_of: Any) -> None:
    outbox = open_outbox()
    grey: Any = np.zeros((4, 4), dtype=np.uint8)
    capture_of(outbox, Shot("grey", lambda: grey)).run()
    (drop,) = messages(outbox)
    assert isinstance(drop, DropMessage)
    assert drop.reason == "encode_failed"


def test_a_full_outbox_is_a_drop(open_outbox: Any, capture_of: Any, make_trigger: Any) -> None:
    outbox = open_outbox(budget_bytes=10_000)
    outbox.append(outbox.reserve(make_trigger()), b"x" * 9_000, "frame", stages={})
    capture_of(outbox, Shot("too many", a_picture)).run()
    message = outbox.message(2)
    assert message is not None
    drop: DropMessage = unpack(message, DropMessage)
    assert (drop.reason, drop.part_id) == ("outbox_full", "too many")


def test_a_failing_outbox_blocks_the_trigger_until_it_obeys(
    open_outbox: Any, capture_of: Any, metrics: EdgeMetrics, eventually: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = open_outbox()
    reserve = outbox.reserve
    monkeypatch.setattr(outbox, "reserve", failing_call)
    thread = threading.Thread(target=capture_of(outbox, Shot("patient", a_picture)).run)
    thread.start()
    eventually(lambda: metrics.registry.get_sample_value("vad_edge_capture_blocked") == 1)
    monkeypatch.setattr(outbox, "reserve", reserve)
    thread.join()
    assert [message.part_id for message in messages(outbox)] == ["patient"]
    assert metrics.registry.get_sample_value("vad_edge_capture_blocked") == 0


def failing_call(*_: object) -> None:
    raise UnavailableError("disk full")


def test_a_stop_ends_even_a_blocked_trigger(open_outbox: Any, capture_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    outbox, stop = open_outbox(), threading.Event()
    monkeypatch.setattr(outbox, "reserve", failing_call)
    thread = threading.Thread(target=capture_of(outbox, Shot("never", a_picture), stop=stop).run)
    thread.start()
    stop.set()
    thread.join()
    assert outbox.state.rows == 0


def test_no_trigger_is_awaited_while_paused_or_without_a_profile(
    open_outbox: Any, capture_of: Any, active_encoder: ActiveEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox, asked, await_encoder = open_outbox(), threading.Event(), active_encoder.await_encoder

    def noted(stop: threading.Event) -> Any:
        asked.set()
        return await_encoder(stop)

    monkeypatch.setattr(active_encoder, "await_encoder", noted)
    active_encoder.pause(paused=True)
    thread = threading.Thread(target=capture_of(outbox, Shot("patient", a_picture)).run)
    thread.start()
    assert asked.wait(60)
    assert outbox.state.rows == 0
    active_encoder.pause(paused=False)
    thread.join()
    assert outbox.state.rows == 1
    stop = threading.Event()
    stop.set()
    assert ActiveEncoder().await_encoder(stop) is None


def test_a_codec_is_kept_over_a_new_profile_if_its_ladder_has_it(make_profile: Any) -> None:
    active_encoder = ActiveEncoder()
    with pytest.raises(MisconfiguredError, match="no profile yet"):
        active_encoder.choose("png")
    active_encoder.use(make_profile("png", "webp:80"))
    active_encoder.choose("webp:80")
    active_encoder.use(make_profile("raw", "webp:80"))
    assert active_encoder.encoder is not None
    assert active_encoder.encoder.profile_codec.codec == "webp:80"
    active_encoder.use(make_profile("raw"))
    assert active_encoder.encoder.profile_codec.codec == "raw"
    with pytest.raises(MisconfiguredError, match="not on the station's ladder; choose from raw"):
        active_encoder.choose("png")
    with pytest.raises(MisconfiguredError, match="no codec is called"):
        encoder_of(make_profile("hologram"))
