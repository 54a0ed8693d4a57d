import pytest

from patchline.mqtt.settings import Subscription, Will
from patchline.mqtt.topic_names import check_filter, check_topic
from patchline.wire.errors import MisconfiguredError


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
