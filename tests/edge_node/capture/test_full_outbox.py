"""What gives way when the outbox is full, and that it is told."""

from typing import Any

import numpy as np
import pytest

from edge_node.capture.full_outbox import DowngradeCodec, DropOldest, StopCapture
from edge_node.control.active_encoder import ActiveEncoder
from edge_node.delivery.ticket import Progress
from edge_node.metrics import EdgeMetrics
from edge_node.outbox.outbox import Outbox
from edge_node.outbox.rows import Closing, Row, drop_message
from patchline.wire.errors import MisconfiguredError
from patchline.wire.messages import DropMessage, EdgeMessage, unpack

STATION = "plant/line1/cam1"
PICTURE = np.random.default_rng(3).integers(0, 256, (64, 64, 3), dtype=np.uint8)


class Sent:
    """Stands in for the publisher: knows which rows were sent."""

    def __init__(self) -> None:
        self.ids: set[str] = set()

    def progress(self, inspection_id: str) -> Progress:
        return Progress(sends=int(inspection_id in self.ids))


class Announced:
    def __init__(self) -> None:
        self.times = 0

    def announce(self, *, answers: str = "", error: str = "") -> None:
        assert not answers
        assert not error
        self.times += 1


def fill(outbox: Outbox, make_trigger: Any, parts: int, size: int) -> list[Row]:
    rows = [outbox.reserve(make_trigger(f"part {number}")) for number in range(parts)]
    for row in rows:
        outbox.append(row, b"x" * size, "frame", stages={})
    outbox.pending()
    return rows


def empty(outbox: Outbox, rows: list[Row]) -> None:
    for row in rows:
        outbox.confirm(row.inspection_id, Closing(outcome="normal"))


def test_stopping_the_capture_changes_nothing() -> None:
    assert not StopCapture().make_room(1)


def test_the_oldest_pictures_never_sent_become_drops_that_say_so(open_outbox: Any, make_trigger: Any) -> None:
    outbox, sent, metrics = open_outbox(budget_bytes=100_000), Sent(), EdgeMetrics()
    rows = fill(outbox, make_trigger, 9, 11_000)
    sent.ids = {rows[0].inspection_id}
    publisher: Any = sent
    assert DropOldest(outbox, publisher, STATION, metrics).make_room(15_000)
    kinds = [row.kind for row in outbox.pending()]
    assert kinds == ["frame", "drop", "drop", *["frame"] * 6]
    drop = unpack(outbox.message(rows[1].sequence) or b"", EdgeMessage)
    assert isinstance(drop, DropMessage)
    assert (drop.reason, drop.part_id, drop.sequence) == ("superseded", "part 1", 2)
    assert metrics.registry.get_sample_value("vad_edge_drops_total", {"reason": "superseded"}) == 2
    late = outbox.reserve(make_trigger("newest"))
    outbox.append(late, b"x" * 15_000, "frame", stages={})


def test_sent_ones_give_way_only_where_the_others_do_not_suffice(open_outbox: Any, make_trigger: Any) -> None:
    outbox, sent = open_outbox(budget_bytes=100_000), Sent()
    rows = fill(outbox, make_trigger, 4, 11_000)
    sent.ids = {row.inspection_id for row in rows[:3]}
    publisher: Any = sent
    assert DropOldest(outbox, publisher, STATION, EdgeMetrics()).make_room(15_000)
    assert [row.kind for row in outbox.pending()] == ["drop", "frame", "frame", "drop"]


def test_no_more_gives_way_than_it_takes(open_outbox: Any, make_trigger: Any) -> None:
    outbox, publisher = open_outbox(budget_bytes=100_000), Sent()
    first, *_ = fill(outbox, make_trigger, 3, 11_000)
    told: Any = publisher
    overflow = DropOldest(outbox, told, STATION, EdgeMetrics())
    freed = 11_000 - len(drop_message(first, STATION, "superseded", "gave way to newer parts, the outbox is full"))
    assert overflow.make_room(freed)
    assert [row.kind for row in outbox.pending()] == ["drop", "frame", "frame"]
    assert overflow.make_room(freed + 1)
    assert [row.kind for row in outbox.pending()] == ["drop"] * 3


def test_nothing_gives_way_where_that_would_not_make_enough_room(open_outbox: Any, make_trigger: Any) -> None:
    outbox, publisher = open_outbox(budget_bytes=100_000), Sent()
    fill(outbox, make_trigger, 3, 11_000)
    told: Any = publisher
    assert not DropOldest(outbox, told, STATION, EdgeMetrics()).make_room(90_000)
    assert [row.kind for row in outbox.pending()] == ["frame"] * 3


@pytest.fixture
def active_encoder(make_profile: Any) -> ActiveEncoder:
    ready = ActiveEncoder()
    ready.use(make_profile("png", "raw", "webp:10", "webp:90"))
    return ready


def codec_of(active_encoder: ActiveEncoder) -> str:
    assert active_encoder.encoder is not None
    return active_encoder.encoder.rung.codec


def test_the_codec_goes_down_to_the_smallest_payload_and_back_up_with_hysteresis(
    open_outbox: Any, make_trigger: Any, active_encoder: ActiveEncoder
) -> None:
    outbox, announced = open_outbox(budget_bytes=100_000), Announced()
    status_publisher: Any = announced
    metrics = EdgeMetrics()
    overflow = DowngradeCodec(outbox, active_encoder, status_publisher, STATION, metrics)

    def chosen() -> str:
        assert active_encoder.encoder is not None
        codec = overflow.choose(active_encoder.encoder, PICTURE).rung.codec
        assert codec == codec_of(active_encoder)
        return codec

    rows = fill(outbox, make_trigger, 7, 10_000)
    assert (chosen(), announced.times) == ("png", 0)
    rows += fill(outbox, make_trigger, 1, 10_000)
    assert (chosen(), announced.times) == ("webp:10", 1)
    assert [sample.labels["codec"] for sample in next(iter(metrics.profile.collect())).samples] == ["webp:10"]
    empty(outbox, rows[:2])
    assert (chosen(), announced.times) == ("webp:10", 1)
    empty(outbox, rows[2:3])
    assert (chosen(), announced.times) == ("png", 2)
    assert not overflow.make_room(1)


def test_a_codec_ordered_meanwhile_stays(open_outbox: Any, make_trigger: Any, active_encoder: ActiveEncoder) -> None:
    outbox = open_outbox(budget_bytes=100_000)
    status_publisher: Any = Announced()
    overflow = DowngradeCodec(outbox, active_encoder, status_publisher, STATION, EdgeMetrics())
    rows = fill(outbox, make_trigger, 8, 10_000)
    assert active_encoder.encoder is not None
    overflow.choose(active_encoder.encoder, PICTURE)
    active_encoder.choose("webp:90")
    empty(outbox, rows)
    assert overflow.choose(active_encoder.encoder, PICTURE).rung.codec == "webp:90"


def test_a_rung_that_cannot_be_used_is_no_way_out(
    open_outbox: Any, make_trigger: Any, active_encoder: ActiveEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = open_outbox(budget_bytes=100_000)
    status_publisher: Any = Announced()
    fill(outbox, make_trigger, 8, 10_000)
    usual = active_encoder.encoder_for

    def without_webp(codec: str) -> Any:
        if codec == "webp:10":
            raise MisconfiguredError("this node has no webp")
        return usual(codec)

    monkeypatch.setattr(active_encoder, "encoder_for", without_webp)
    assert active_encoder.encoder is not None
    assert DowngradeCodec(outbox, active_encoder, status_publisher, STATION, EdgeMetrics()).choose(
        active_encoder.encoder, PICTURE
    ).rung.codec == ("webp:90")
