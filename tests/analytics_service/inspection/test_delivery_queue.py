"""The waiting line: bounded, live parts first, and it wakes whoever waits."""

import threading

from analytics_service.inspection.delivery_queue import BACKLOG_SHARE, DeliveryQueue
from patchline.mqtt.delivery import Delivery


def delivery(name: str, size: int = 1) -> Delivery:
    return Delivery(topic=name, payload=bytes(size))


def line(max_messages: int = 10, max_bytes: int = 1000) -> DeliveryQueue:
    return DeliveryQueue(max_messages=max_messages, max_bytes=max_bytes)


def taken(delivery_queue: DeliveryQueue, limit: int = 10) -> list[str]:
    return [each.topic for each in delivery_queue.take(limit=limit, wait_seconds=0.0)]


def test_deliveries_leave_in_receive_order_and_as_many_as_asked_for() -> None:
    delivery_queue = line()
    for name in "abcde":
        assert delivery_queue.offer(delivery(name), historical=False)
    assert taken(delivery_queue, 3) == ["a", "b", "c"]
    assert taken(delivery_queue, 3) == ["d", "e"]


def test_live_parts_overtake_historical_ones() -> None:
    delivery_queue = line()
    for number in range(5):
        delivery_queue.offer(delivery(f"old{number}"), historical=True)
    for number in range(3):
        delivery_queue.offer(delivery(f"live{number}"), historical=False)
    assert taken(delivery_queue) == ["live0", "live1", "live2", "old0", "old1"]


def test_a_micro_batch_holds_few_historical_parts_so_that_a_live_one_never_waits_long() -> None:
    delivery_queue = line()
    for number in range(8):
        delivery_queue.offer(delivery(f"old{number}"), historical=True)
    assert len(taken(delivery_queue)) == BACKLOG_SHARE


def test_a_full_line_turns_away() -> None:
    delivery_queue = line(max_messages=2)
    assert [delivery_queue.offer(delivery("x"), historical=False) for _ in range(3)] == [True, True, False]
    delivery_queue.take(limit=1, wait_seconds=0.0)
    assert delivery_queue.offer(delivery("x"), historical=True)


def test_bytes_are_bounded_but_one_message_always_fits() -> None:
    delivery_queue = line(max_bytes=100)
    assert delivery_queue.offer(delivery("huge", 500), historical=False)
    assert not delivery_queue.offer(delivery("small", 1), historical=False)
    assert delivery_queue.waiting_bytes == 500
    taken(delivery_queue)
    assert delivery_queue.waiting_bytes == 0


def test_a_closed_line_takes_nothing_in_and_runs_dry() -> None:
    delivery_queue = line()
    delivery_queue.offer(delivery("a"), historical=False)
    delivery_queue.close()
    assert not delivery_queue.offer(delivery("b"), historical=False)
    assert taken(delivery_queue) == ["a"]
    assert taken(delivery_queue) == []


def test_a_waiting_worker_is_woken_by_a_delivery_and_by_the_end() -> None:
    delivery_queue = line()
    batches: list[list[str]] = []

    def work() -> None:
        while batch := delivery_queue.take(limit=1, wait_seconds=0.0):
            batches.append([each.topic for each in batch])

    worker = threading.Thread(target=work)
    worker.start()
    delivery_queue.offer(delivery("a"), historical=False)
    delivery_queue.offer(delivery("b"), historical=True)
    delivery_queue.close()
    worker.join(60.0)
    assert not worker.is_alive()
    assert sorted(batches) == [["a"], ["b"]]


def test_a_part_waits_for_company_no_longer_than_it_may() -> None:
    """The company arrives while the first one waits: both leave together."""
    delivery_queue = line()
    delivery_queue.offer(delivery("a"), historical=False)
    companion = threading.Timer(0.02, lambda: delivery_queue.offer(delivery("b"), historical=False))
    companion.start()
    assert [each.topic for each in delivery_queue.take(limit=2, wait_seconds=60.0)] == ["a", "b"]
    companion.join()
