import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchline.wire.channels import CHANNELS, ChannelName
from patchline.wire.errors import MisconfiguredError, UnreadableError
from patchline.wire.topics import DEFAULT_PREFIX, Station, Topics

LEVELS = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=64)
STATIONS = st.builds(Station, LEVELS, LEVELS, LEVELS)
PREFIXES = st.lists(LEVELS, min_size=1, max_size=4).map("/".join)


@given(station=STATIONS, channel=st.sampled_from(list(CHANNELS)), prefix=PREFIXES)
def test_a_topic_reads_back_as_its_station_and_channel(station: Station, channel: ChannelName, prefix: str) -> None:
    topics = Topics(prefix)
    assert topics.parse(topics.of(station, channel)) == (station, channel)


@given(station=STATIONS)
def test_a_station_reads_back_from_its_text(station: Station) -> None:
    assert Station.parse(str(station)) == station


def test_a_topic_hangs_under_its_prefix() -> None:
    assert Topics("plant/vision").of(Station("north", "press-2", "top"), "frame") == (
        "plant/vision/north/press-2/top/frame"
    )
    assert Topics().of(Station("north", "press-2", "top"), "frame").startswith(DEFAULT_PREFIX)


@pytest.mark.parametrize(
    "text", ["", "a/b", "a/b/c/d", "a//c", "a/b/ c", "a/+/c", "a/b/#", "a/b/ç", "a/b/c\n", "a/b/" + "c" * 65]
)
def test_a_station_with_a_wrong_level_is_refused_with_a_remedy(text: str) -> None:
    with pytest.raises(MisconfiguredError) as caught:
        Station.parse(text)
    assert caught.value.remedy


@pytest.mark.parametrize("prefix", ["", "/vad", "vad/", "vad//v1", "vad/+", "$share/vad"])
def test_a_prefix_with_a_wrong_level_is_refused(prefix: str) -> None:
    with pytest.raises(MisconfiguredError):
        Topics(prefix)


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "vad/v1",
        "vad/v1/a/b/c",
        "vad/v1/a/b/c/frames",
        "vad/v1/a/b/c/d/frame",
        "vad/v2/a/b/c/frame",
        "x/vad/v1/a/b/c/frame",
        "vad/v1/a//c/frame",
        "vad/v1/a/b c/d/frame",
        "/vad/v1/a/b/c/frame",
    ],
)
def test_a_topic_that_is_not_ours_is_unreadable(topic: str) -> None:
    with pytest.raises(UnreadableError) as caught:
        Topics().parse(topic)
    assert caught.value.code == "topic"


@given(topic=st.text())
def test_any_text_as_a_topic_is_read_or_unreadable(topic: str) -> None:
    try:
        Topics().parse(topic)
    except UnreadableError:
        return
    assert topic.startswith(DEFAULT_PREFIX)


def test_filters_cover_a_channel_of_all_stations_or_of_one_line() -> None:
    topics = Topics()
    assert topics.every("frame") == "vad/v1/+/+/+/frame"
    assert topics.every("frame", site="north", line="press-2") == "vad/v1/north/press-2/+/frame"
    assert topics.shared("analytics", topics.every("frame")) == "$share/analytics/vad/v1/+/+/+/frame"


def test_a_service_has_its_status_on_the_reserved_line() -> None:
    topics = Topics()
    assert topics.service_status("north") == "vad/v1/north/_service/+/status"
    assert topics.parse(topics.service_status("north", "analytics")) == (
        Station("north", "_service", "analytics"),
        "status",
    )
