import time

import pytest

from patchline.mqtt.delivery import Acknowledged
from patchline.mqtt.packets import Publication
from patchline.mqtt.send_window import Request, SendWindow, TooLargeError
from patchline.wire.errors import MisconfiguredError, UnavailableError


def request(fates: list[Acknowledged], *, packet_bytes: int = 10) -> Request:
    return Request(Publication("a/b", b"x", 1, retain=False, properties=None, packet_bytes=packet_bytes), fates.append)


class Numbered:
    """Gives publications packet ids from 1 on."""

    def __init__(self) -> None:
        self.sent: list[Publication] = []

    def __call__(self, publication: Publication) -> int:
        self.sent.append(publication)
        return len(self.sent)


def shut_window(limit_bytes: int = 1000) -> SendWindow:
    return SendWindow(limit_bytes, Numbered())


def open_window(capacity: int, limit_bytes: int = 100) -> SendWindow:
    window = shut_window()
    window.open(capacity, limit_bytes)
    return window


def test_a_window_that_is_not_open_takes_nothing() -> None:
    with pytest.raises(UnavailableError, match="not connected"):
        shut_window().offer(request([]))


def test_a_window_takes_no_more_than_its_capacity() -> None:
    window = open_window(2)
    window.offer(request([]))
    window.offer(request([]))
    with pytest.raises(UnavailableError, match="2 publications"):
        window.offer(request([]))


def test_an_acknowledgement_makes_room() -> None:
    fates: list[Acknowledged] = []
    window = open_window(1)
    window.offer(request(fates))
    window.acknowledged(1, 0, "Success")
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
    window.acknowledged(1, code, "the reason")
    assert fates == [Acknowledged(accepted, "the reason")]


def test_an_acknowledgement_of_nothing_is_ignored() -> None:
    window = open_window(1)
    window.acknowledged(7, 0, "Success")
    assert window.idle()


def test_what_is_too_large_is_refused_with_both_figures_whether_connected_or_not() -> None:
    for window, limit in ((open_window(1, 99), 99), (shut_window(99), 99)):
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
    window.acknowledged(1, 0, "Success")
    assert window.idle()


def test_nobody_needs_to_be_told() -> None:
    window = open_window(1)
    window.offer(Request(request([]).publication, None))
    window.close("gone")
    assert window.idle()


def test_a_publication_that_cannot_be_sent_takes_no_place() -> None:
    def refuse(_: Publication) -> int:
        raise UnavailableError("the connection has just ended")

    window = SendWindow(1000, refuse)
    window.open(1, 1000)
    fates: list[Acknowledged] = []
    for _ in range(2):
        with pytest.raises(UnavailableError, match="just ended"):
            window.offer(request(fates))
    assert window.idle()
    window.close("gone")
    assert fates == []


def test_what_is_written_is_waited_for_and_a_later_ping_does_not_start_anew() -> None:
    window = open_window(2)
    assert window.waited_seconds(writing=False) == 0.0
    window.offer(request([]))
    assert window.waited_seconds(writing=True) == 0.0
    window.waited_seconds(writing=False)
    time.sleep(0.01)
    assert window.waited_seconds(writing=True) >= 0.01
    window.acknowledged(1, 0, "Success")
    assert window.waited_seconds(writing=False) == 0.0
