"""The access list of a provisioned site, asked of a real Mosquitto."""

from collections.abc import Callable
from typing import Any

import pytest

from broker_config.access_list import access_list
from patchline.wire.channels import CHANNELS, CLIENT_ROLES
from patchline.wire.topics import Station, Topics

MakeClient = Callable[..., Any]
Eventually = Callable[..., None]

TOP = Station("north", "press-2", "top")
SIDE = Station("north", "press-2", "side")
TOPICS = Topics()


@pytest.mark.broker
def test_a_frame_goes_to_the_service_and_its_verdict_comes_back(client: MakeClient, eventually: Eventually) -> None:
    service = client("analytics", TOPICS.shared("analytics", TOPICS.every("frame", site="north")))
    edge = client(str(TOP), TOPICS.of(TOP, "verdict"))
    edge.publish(TOPICS.of(TOP, "frame"), b"frame" * 12_000)
    eventually(lambda: service.deliveries)
    service.publish(TOPICS.of(TOP, "verdict"), b"verdict")
    eventually(lambda: edge.deliveries and edge.fates and service.fates)
    assert service.deliveries[0].payload == b"frame" * 12_000
    assert [fate.reason for fate in (*edge.fates, *service.fates)] == ["Success", "Success"]


@pytest.mark.broker
def test_a_station_owns_its_branch_and_no_other(client: MakeClient, eventually: Eventually) -> None:
    service = client("analytics", *(TOPICS.every(channel, site="north") for channel in ("frame", "backlog", "status")))
    edge = client(str(TOP))
    wanted = [TOPICS.of(station, channel) for station in (TOP, SIDE) for channel in CHANNELS]
    wanted += ["other/topic", TOPICS.service_status("north", "analytics"), "$SYS/broker/uptime"]
    for number, topic in enumerate(wanted, 1):
        edge.publish(topic)
        eventually(lambda number=number: len(edge.fates) == number)
    allowed = {TOPICS.of(TOP, channel) for channel in ("frame", "backlog", "status")}
    eventually(lambda: {delivery.topic for delivery in service.deliveries} == allowed)
    found = dict(zip(wanted, (fate.reason for fate in edge.fates), strict=True))
    assert {topic for topic, reason in found.items() if reason in {"Success", "No matching subscribers"}} == allowed


@pytest.mark.broker
def test_nobody_reads_a_neighbours_verdicts_or_frames(client: MakeClient, eventually: Eventually) -> None:
    curious = client(str(SIDE), "#", TOPICS.every("verdict"))
    service, edge = client("analytics"), client(str(TOP))
    edge.publish(TOPICS.of(TOP, "frame"))
    for station in (TOP, SIDE):
        service.publish(TOPICS.of(station, "verdict"), str(station).encode())
    eventually(lambda: curious.deliveries)
    assert {delivery.topic for delivery in curious.deliveries} == {TOPICS.of(SIDE, "verdict")}


@pytest.mark.broker
def test_a_screen_and_a_plc_hear_what_they_need_and_say_nothing(client: MakeClient, eventually: Eventually) -> None:
    screen, plc = client("hmi", "vad/#"), client("plc", "vad/#")
    service, edge = client("analytics"), client(str(TOP))
    for channel in ("verdict", "map", "profile"):
        service.publish(TOPICS.of(TOP, channel))
    edge.publish(TOPICS.of(TOP, "frame"))
    edge.publish(TOPICS.of(TOP, "status"))
    for quiet in (screen, plc):
        for channel in CHANNELS:
            quiet.publish(TOPICS.of(TOP, channel))
        eventually(lambda quiet=quiet: len(quiet.fates) == len(CHANNELS))
        assert {fate.reason for fate in quiet.fates} == {"Not authorized"}
    heard = [{TOPICS.parse(each.topic)[1] for each in quiet.deliveries} for quiet in (screen, plc)]
    assert heard == [{"verdict", "map", "status"}, {"verdict", "status"}]


@pytest.mark.broker
def test_an_operator_steers_and_a_station_hears_it(client: MakeClient, eventually: Eventually) -> None:
    edge, operator = client(str(TOP), TOPICS.of(TOP, "command"), TOPICS.service_status("north")), client("operator")
    operator.publish(TOPICS.of(TOP, "command"), b"pause")
    client("analytics").publish(TOPICS.service_status("north", "analytics"), b"born")
    eventually(lambda: len(edge.deliveries) == 2)


def test_every_block_of_rules_has_its_reason_and_every_role_its_block() -> None:
    text = access_list("north", [str(TOP)], {role: role for role in CLIENT_ROLES}, topics=TOPICS, local="user guest")
    for block in text.strip().split("\n\n"):
        assert block.startswith("#"), f"no reason above: {block}"
    assert all(f"\nuser {role}\n" in text for role in CLIENT_ROLES)
    assert text.rstrip().endswith("user guest")
