import threading
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from patchline.mqtt.delivery import AcknowledgementOrder


def expecting(count: int) -> tuple[AcknowledgementOrder, list[int], list[Callable[[], None]]]:
    sent: list[int] = []
    order = AcknowledgementOrder(sent.append)
    return order, sent, [order.expect(packet_id) for packet_id in range(1, count + 1)]


@given(order=st.permutations(range(6)))
def test_acknowledgements_leave_in_receive_order_whatever_order_they_are_settled_in(order: list[int]) -> None:
    _, sent, settles = expecting(6)
    for settled, index in enumerate(order, start=1):
        settles[index]()
        unsettled = [number for number in range(6) if number not in order[:settled]]
        assert sent == list(range(1, min(unsettled, default=6) + 1))


def test_an_acknowledgement_waits_for_those_of_earlier_deliveries() -> None:
    _, sent, settles = expecting(3)
    settles[2]()
    assert sent == []
    settles[0]()
    assert sent == [1]


def test_settling_twice_acknowledges_once() -> None:
    _, sent, settles = expecting(1)
    settles[0]()
    settles[0]()
    assert sent == [1]


def test_after_the_connection_nothing_is_acknowledged_any_more() -> None:
    order, sent, settles = expecting(2)
    settles[1]()
    order.close()
    settles[0]()
    assert sent == []


def test_threads_that_settle_at_once_keep_the_order_and_lose_none() -> None:
    _, sent, settles = expecting(2000)
    threads = [
        threading.Thread(target=lambda own: [settle() for settle in own], args=(settles[first::4],))
        for first in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sent == list(range(1, 2001))
