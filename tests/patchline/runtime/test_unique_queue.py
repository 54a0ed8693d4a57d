"""An item waits once, and can wait again as soon as it was taken, whoever comes first."""

import sys
import threading
from collections.abc import Iterator

import pytest

from patchline.runtime.unique_queue import UniqueQueue


@pytest.fixture
def quick_switches() -> Iterator[None]:
    """Threads change at nearly every instruction."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def test_an_item_that_waits_is_put_once_and_in_its_first_place() -> None:
    queue: UniqueQueue[str] = UniqueQueue(10)
    assert all(queue.put(item) for item in ("a", "b", "a"))
    assert [queue.take(0), queue.take(0), queue.take(0)] == ["a", "b", None]
    assert queue.put("a")
    assert queue.take(0) == "a"


def test_a_full_queue_refuses_new_items_and_takes_those_that_wait() -> None:
    queue: UniqueQueue[int] = UniqueQueue(2)
    assert [queue.put(1), queue.put(2), queue.put(3), queue.put(1)] == [True, True, False, True]


@pytest.mark.usefixtures("quick_switches")
def test_whatever_is_put_is_taken_afterwards() -> None:
    """With a note beside the queue, a note could outlive its item, and the item was never put again."""
    queue: UniqueQueue[str] = UniqueQueue(10)
    put, taken, stop = [0, 0], [0, 0], threading.Event()

    def take() -> None:
        while not stop.is_set() or len(queue):
            item = queue.take(0.01)
            if item is not None:
                taken[int(item)] = put[int(item)]

    def add(index: int) -> None:
        for number in range(1, 3001):
            put[index] = number
            queue.put(str(index))

    taker = threading.Thread(target=take)
    adders = [threading.Thread(target=add, args=(index,)) for index in range(2)]
    for thread in (taker, *adders):
        thread.start()
    for thread in adders:
        thread.join()
    stop.set()
    taker.join()
    assert taken == put == [3000, 3000]
