import pytest

from patchline.mqtt.delivery import Acknowledged
from patchline.mqtt.packets import Publication
from patchline.mqtt.send_window import Request, SendWindow, TooLargeError
from patchline.wire.errors import MisconfiguredError, UnavailableError


def request(fates: list[Acknowledged], *, packet_bytes: int = 10) -> Request:
    return Request(Publication("a/b", b"x", 1, retain=False, properties=None, packet_bytes=packet_bytes), fates.append)


def open_window(capacity: int, limit_bytes: int = 100) -> SendWindow:
    window = SendWindow(1000)
    window.open(capacity, limit_bytes)
    return window


def send_all(window: SendWindow) -> list[int]:
    ids: list[int] = []
    while (taken := window.take()) is not None:
        ids.append(len(ids) + 1)
        window.sent(ids[-1], taken)
    return ids


def test_a_window_that_is_not_open_takes_nothing() -> None:
    with pytest.raises(UnavailableError, match="not connected"):
        SendWindow(1000).offer(request([]))


def test_a_window_takes_no_more_than_its_capacity_waiting_or_in_flight() -> None:
    window = open_window(2)
    window.offer(request([]))
    send_all(window)
    window.offer(request([]))
    with pytest.raises(UnavailableError, match="2 publications"):
        window.offer(request([]))


def test_an_acknowledgement_makes_room() -> None:
    fates: list[Acknowledged] = []
    window = open_window(1)
    window.offer(request(fates))
    (packet_id,) = send_all(window)
    window.acknowledged(packet_id, 0, "Success")
    assert fates == [Acknowledged(accepted=True, reason="Success")]
    assert window.idle()
    window.offer(request(fates))


@pytest.mark.parametrize(
    ("code", "accepted"), [(0x00, True), (0x10, False), (0x80, False), (0x87, False), (0x97, False), (0x99, False)]
)
def test_no_matching_subscribers_and_every_failure_are_not_accepted(code: int, accepted: bool) -> None:
    fates: list[Acknowledged] = []
    window = open_window(1)
    window.offer(request(fates))
    (packet_id,) = send_all(window)
    window.acknowledged(packet_id, code, "the reason")
    assert fates == [Acknowledged(accepted, "the reason")]


def test_an_acknowledgement_of_nothing_is_ignored() -> None:
    window = open_window(1)
    window.acknowledged(7, 0, "Success")
    assert window.idle()


def test_what_is_too_large_is_refused_with_both_figures_whether_connected_or_not() -> None:
    for window, limit in ((open_window(1, 99), 99), (SendWindow(99), 99)):
        with pytest.raises(TooLargeError) as caught:
            window.offer(request([], packet_bytes=100))
        assert (caught.value.packet_bytes, caught.value.limit_bytes) == (100, limit)
        assert isinstance(caught.value, MisconfiguredError)
        assert f"a packet of 100 bytes is over the limit of {limit}" in str(caught.value)
        assert caught.value.where == "a/b"
    open_window(1, 100).offer(request([], packet_bytes=100))


def test_a_lost_connection_answers_everything_that_was_on_its_way() -> None:
    fates: list[Acknowledged] = []
    window = open_window(3)
    window.offer(request(fates))
    send_all(window)
    window.offer(request(fates))
    window.close("the cable is pulled")
    assert window.idle()
    window.close("once more")
    assert fates == [Acknowledged(accepted=False, reason="the cable is pulled")] * 2
    with pytest.raises(UnavailableError, match="not connected"):
        window.offer(request(fates))


def test_a_shut_window_keeps_what_is_on_its_way() -> None:
    fates: list[Acknowledged] = []
    window = open_window(2)
    window.offer(request(fates))
    window.shut()
    with pytest.raises(UnavailableError, match="not connected"):
        window.offer(request(fates))
    assert not window.idle()
    (packet_id,) = send_all(window)
    window.acknowledged(packet_id, 0, "Success")
    assert window.idle()


def test_nobody_needs_to_be_told() -> None:
    window = open_window(1)
    window.offer(Request(request([]).publication, None))
    window.close("gone")
    assert window.idle()
