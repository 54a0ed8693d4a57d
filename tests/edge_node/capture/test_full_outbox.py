"""What gives way when the outbox is full, and that it is told."""

from typing import Any

from edge_node.capture.full_outbox import DropOldest
from edge_node.capture.recorder import never
from edge_node.delivery.ticket import Progress
from edge_node.metrics import EdgeMetrics
from edge_node.outbox.outbox import Outbox
from edge_node.outbox.rows import Row, drop_message
from patchline.wire.messages import DropMessage, EdgeMessage, unpack

STATION = "plant/line1/cam1"


class Sent:
    """Stands in for the publisher: knows which rows were sent."""

    def __init__(self) -> None:
        self.ids: set[str] = set()

    def progress(self, inspection_id: str) -> Progress:
        return Progress(sends=int(inspection_id in self.ids))


def fill(outbox: Outbox, make_trigger: Any, parts: int, size: int) -> list[Row]:
    rows = [outbox.reserve(make_trigger(f"part {number}")) for number in range(parts)]
    for row in rows:
        outbox.append(row, b"x" * size, "frame", stages={})
    outbox.pending()
    return rows


def test_stopping_the_capture_changes_nothing() -> None:
    assert not never(1)


def test_the_oldest_pictures_never_sent_become_drops_that_say_so(open_outbox: Any, make_trigger: Any) -> None:
    outbox, sent, metrics = open_outbox(budget_bytes=100_000), Sent(), EdgeMetrics()
    rows = fill(outbox, make_trigger, 9, 11_000)
    sent.ids = {rows[0].inspection_id}
    publisher: Any = sent
    assert DropOldest(outbox, publisher, STATION, metrics).make_room(15_000)
    kinds = [row.kind for row in outbox.pending()]
    assert kinds == ["frame", "drop", "drop", *["frame"] * 6]
    drop: EdgeMessage = unpack(outbox.message(rows[1].sequence) or b"", EdgeMessage)
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
