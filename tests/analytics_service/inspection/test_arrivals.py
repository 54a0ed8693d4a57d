"""The waiting line: bounded, live parts first, and it wakes whoever waits."""

import threading

from analytics_service.inspection.arrivals import BACKLOG_SHARE, Arrivals
from patchline.mqtt.delivery import Delivery


def delivery(name: str, size: int = 1) -> Delivery:
    return Delivery(topic=name, payload=bytes(size))


def line(max_messages: int = 10, max_bytes: int = 1000) -> Arrivals:
    return Arrivals(max_messages=max_messages, max_bytes=max_bytes)


def taken(arrivals: Arrivals, limit: int = 10) -> list[str]:
    return [each.topic for each in arrivals.take(limit=limit, wait_seconds=0.0)]


def test_deliveries_leave_in_receive_order_and_as_many_as_asked_for() -> None:
    arrivals = line()
    for name in "abcde":
        assert arrivals.offer(delivery(name), historical=False)
    assert taken(arrivals, 3) == ["a", "b", "c"]
    assert taken(arrivals, 3) == ["d", "e"]


def test_live_parts_overtake_historical_ones() -> None:
    arrivals = line()
    for number in range(5):
        arrivals.offer(delivery(f"old{number}"), historical=True)
    for number in range(3):
        arrivals.offer(delivery(f"live{number}"), historical=False)
    assert taken(arrivals) == ["live0", "live1", "live2", "old0", "old1"]


def test_a_micro_batch_holds_few_historical_parts_so_that_a_live_one_never_waits_long() -> None:
    arrivals = line()
    for number in range(8):
        arrivals.offer(delivery(f"old{number}"), historical=True)
    assert len(taken(arrivals)) == BACKLOG_SHARE


def test_a_full_line_turns_away() -> None:
    arrivals = line(max_messages=2)
    assert [arrivals.offer(delivery("x"), historical=False) for _ in range(3)] == [True, True, False]
    arrivals.take(limit=1, wait_seconds=0.0)
    assert arrivals.offer(delivery("x"), historical=True)


def test_bytes_are_bounded_but_one_message_always_fits() -> None:
    arrivals = line(max_bytes=100)
    assert arrivals.offer(delivery("huge", 500), historical=False)
    assert not arrivals.offer(delivery("small", 1), historical=False)
    assert arrivals.waiting_bytes == 500
    taken(arrivals)
    assert arrivals.waiting_bytes == 0


def test_a_closed_line_takes_nothing_in_and_runs_dry() -> None:
    arrivals = line()
    arrivals.offer(delivery("a"), historical=False)
    arrivals.close()
    assert not arrivals.offer(delivery("b"), historical=False)
    assert taken(arrivals) == ["a"]
    assert taken(arrivals) == []


def test_a_waiting_worker_is_woken_by_a_delivery_and_by_the_end() -> None:
    arrivals = line()
    batches: list[list[str]] = []

    def work() -> None:
        while batch := arrivals.take(limit=1, wait_seconds=0.0):
            batches.append([each.topic for each in batch])

    worker = threading.Thread(target=work)
    worker.start()
    arrivals.offer(delivery("a"), historical=False)
    arrivals.offer(delivery("b"), historical=True)
    arrivals.close()
    worker.join(60.0)
    assert not worker.is_alive()
    assert sorted(batches) == [["a"], ["b"]]


def test_a_part_waits_for_company_no_longer_than_it_may() -> None:
    """The company arrives while the first one waits: both leave together."""
    arrivals = line()
    arrivals.offer(delivery("a"), historical=False)
    companion = threading.Timer(0.02, lambda: arrivals.offer(delivery("b"), historical=False))
    companion.start()
    assert [each.topic for each in arrivals.take(limit=2, wait_seconds=60.0)] == ["a", "b"]
    companion.join()
