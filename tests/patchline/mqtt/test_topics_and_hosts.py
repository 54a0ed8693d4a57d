import pytest

from patchline.mqtt.settings import LinkSettings, Subscription, Will
from patchline.wire.errors import MisconfiguredError
from patchline.wire.topics import check_filter, check_topic


@pytest.mark.parametrize("topic", ["a", "vad/v1/north/press-2/top/frame", "/", "a//b", "größe", "é" * 32_000])
def test_a_topic_without_wildcards_passes(topic: str) -> None:
    check_topic(topic)
    check_filter(topic)


@pytest.mark.parametrize("topic", ["", "a/+/b", "a/#", "#", "a+", "a\0b", "é" * 33_000])
def test_a_topic_nobody_can_publish_to_is_refused(topic: str) -> None:
    with pytest.raises(MisconfiguredError):
        check_topic(topic)
    with pytest.raises(MisconfiguredError):
        Will(topic=topic, payload=b"")


@pytest.mark.parametrize("topic_filter", ["#", "+", "a/#", "+/a/+/#", "$share/group/a/+/b", "$SYS/#"])
def test_wildcards_that_fill_their_level_pass(topic_filter: str) -> None:
    check_filter(topic_filter)


@pytest.mark.parametrize("topic_filter", ["", "a#", "#/a", "a/b#/c", "a+/b", "a/+b", "a\0", "a/##", "é" * 33_000])
def test_a_filter_no_broker_would_take_is_refused(topic_filter: str) -> None:
    with pytest.raises(MisconfiguredError):
        Subscription(topic_filter)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "fe80::1", "broker.plant.example", "größe.example"])
def test_a_name_or_an_address_is_a_host(host: str) -> None:
    assert LinkSettings(client_id="c", host=host).host == host


@pytest.mark.parametrize(
    ("host", "meant"),
    [
        ("mqtt://broker", "broker"),
        ("mqtts://user@broker:8883/path", "broker"),
        ("host:1883", "host"),
        ("127.0.0.1:1883", "127.0.0.1"),
        ("[::1]", "::1"),
        ("[fe80::1]:8883", "fe80::1"),
        ("tcp://[::1]:1883", "::1"),
    ],
)
def test_a_host_with_anything_beside_it_is_refused_with_the_one_that_is_meant(host: str, meant: str) -> None:
    with pytest.raises(MisconfiguredError, match=r"broker\.host") as caught:
        LinkSettings(client_id="c", host=host)
    assert f"write host = {meant!r}, and the port as port" in str(caught.value)


@pytest.mark.parametrize("host", ["", " ", "a b", "://", "[]", "a/b/c d:x", "x" * 300])
def test_what_holds_no_host_is_refused(host: str) -> None:
    with pytest.raises(MisconfiguredError):
        LinkSettings(client_id="c", host=host)
