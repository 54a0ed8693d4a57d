from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from patchline.mqtt.acknowledgement_order import AcknowledgementOrder


class Wakes:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


def expecting(count: int) -> tuple[AcknowledgementOrder, Wakes, list[Callable[[], None]]]:
    wakes = Wakes()
    receipts = AcknowledgementOrder(wakes)
    return receipts, wakes, [receipts.expect(packet_id) for packet_id in range(1, count + 1)]


@given(order=st.permutations(range(6)))
def test_acknowledgements_leave_in_receive_order_whatever_order_they_are_settled_in(order: list[int]) -> None:
    receipts, _, settles = expecting(6)
    sent: list[int] = []
    for settled, index in enumerate(order, start=1):
        settles[index]()
        sent += receipts.due()
        unsettled = [number for number in range(6) if number not in order[:settled]]
        assert sent == list(range(1, min(unsettled, default=6) + 1))


def test_an_acknowledgement_waits_for_those_of_earlier_deliveries() -> None:
    receipts, wakes, settles = expecting(3)
    settles[2]()
    assert list(receipts.due()) == []
    assert wakes.count == 0
    settles[0]()
    assert list(receipts.due()) == [1]
    assert wakes.count == 1


def test_settling_twice_acknowledges_once() -> None:
    receipts, wakes, settles = expecting(1)
    settles[0]()
    settles[0]()
    assert list(receipts.due()) == [1]
    settles[0]()
    assert list(receipts.due()) == []
    assert wakes.count == 1


def test_after_the_connection_nothing_is_acknowledged_any_more() -> None:
    receipts, wakes, settles = expecting(2)
    settles[0]()
    receipts.close()
    settles[1]()
    assert list(receipts.due()) == []
    assert wakes.count == 1
