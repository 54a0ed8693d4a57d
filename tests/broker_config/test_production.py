import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from line_replay.broker import Broker, find_mosquitto, free_port
from wire_contract.link.delivery import Acknowledged, Delivery
from wire_contract.link.link import Link
from wire_contract.link.settings import LinkSettings, Subscription, TlsSettings
from wire_contract.topics import CHANNELS, Station, Topics

Eventually = Callable[..., None]

pytestmark = pytest.mark.broker

CONFIGURATION = Path(__file__).parents[2] / "broker_config"
TOP = Station("north", "press-2", "top")
SIDE = Station("north", "press-2", "side")


class Client:
    """A link with a certificate of its own, whose common name is its user name at the broker."""

    def __init__(self, broker: Broker, authority: Any, name: str, topic_filter: str) -> None:
        self.deliveries: list[Delivery] = []
        self.fates: list[Acknowledged] = []
        certificate, key = authority.sign(name)
        tls = TlsSettings(ca=authority.certificate, certificate=certificate, key=key, minimum_version="1.3")
        self.link = Link(
            LinkSettings(port=broker.port, client_id=name, tls=tls),
            subscriptions=[Subscription(topic_filter)],
            on_delivery=self._delivered,
            on_connected=lambda _connection: None,
            on_disconnected=lambda _reason: None,
        )
        self.link.start()
        assert self.link.wait_connected(20.0)

    def publish(self, topic: str, payload: bytes) -> None:
        self.link.publish(topic, payload, on_done=self.fates.append)

    def _delivered(self, delivery: Delivery) -> None:
        self.deliveries.append(delivery)
        delivery.acknowledge()


@pytest.fixture
def plant(tmp_path: Path, authority: Any) -> Iterator[Broker]:
    """A broker with the production configuration, its folders moved to where the test may write."""
    if find_mosquitto() is None:
        pytest.skip("Mosquitto is not installed (apt install mosquitto)")
    (tmp_path / "tls").mkdir()
    (tmp_path / "data").mkdir()
    certificate, key = authority.sign("broker")
    for source, name in ((authority.certificate, "ca.crt"), (certificate, "broker.crt"), (key, "broker.key")):
        (tmp_path / "tls" / name).write_bytes(source.read_bytes())
    access_list = tmp_path / "plant.acl"
    access_list.write_bytes((CONFIGURATION / "plant.acl").read_bytes())
    access_list.chmod(0o600)
    port = free_port()
    text = (CONFIGURATION / "production.conf").read_text().replace("/mosquitto/", f"{tmp_path}/")
    text = text.replace("listener 8883", f"listener {port} 127.0.0.1")
    if os.geteuid() == 0:
        text += "\nuser root\n"  # else Mosquitto would become a user who cannot see the test's folder
    configuration = tmp_path / "production.conf"
    configuration.write_text(text)
    with Broker(tmp_path, kind="mosquitto", port=port, configuration=configuration) as broker:
        yield broker


@pytest.fixture
def client(plant: Broker, authority: Any) -> Iterator[Callable[[str, str], Client]]:
    made: list[Client] = []

    def make(name: str, topic_filter: str) -> Client:
        made.append(Client(plant, authority, name, topic_filter))
        return made[-1]

    yield make
    for one in made:
        one.link.stop(2.0)


def test_a_frame_goes_to_the_service_and_its_verdict_comes_back(
    client: Callable[[str, str], Client], eventually: Eventually
) -> None:
    topics = Topics()
    service = client("analytics", topics.shared("analytics", topics.every("frame")))
    edge = client(str(TOP), topics.of(TOP, "verdict"))
    edge.publish(topics.of(TOP, "frame"), b"frame" * 12_000)
    eventually(lambda: service.deliveries)
    service.publish(topics.of(TOP, "verdict"), b"verdict")
    eventually(lambda: edge.deliveries)
    assert service.deliveries[0].payload == b"frame" * 12_000
    assert [fate.reason for fate in (*edge.fates, *service.fates)] == ["Success", "Success"]


def test_an_edge_node_owns_its_branch_and_no_other(
    client: Callable[[str, str], Client], eventually: Eventually
) -> None:
    topics = Topics()
    watcher = client("operator", "vad/v1/#")
    edge = client(str(TOP), topics.of(SIDE, "verdict"))
    wishes = [topics.of(TOP, channel) for channel in CHANNELS] + [topics.of(SIDE, channel) for channel in CHANNELS]
    for topic in wishes:
        edge.publish(topic, b"x")
    eventually(lambda: len(edge.fates) == len(wishes))
    allowed = {topics.of(TOP, channel) for channel in ("frame", "backlog", "status")}
    eventually(lambda: {delivery.topic for delivery in watcher.deliveries} == allowed)
    assert [fate.reason for fate in edge.fates] == [
        "Success" if topic in allowed else "Not authorized" for topic in wishes
    ]


def test_nobody_reads_a_neighbours_verdicts(client: Callable[[str, str], Client], eventually: Eventually) -> None:
    topics = Topics()
    curious = client(str(SIDE), "vad/v1/+/+/+/verdict")
    service = client("analytics", topics.every("frame"))
    for station in (TOP, SIDE):
        service.publish(topics.of(station, "verdict"), str(station).encode())
    eventually(lambda: curious.deliveries)
    assert [delivery.topic for delivery in curious.deliveries] == [topics.of(SIDE, "verdict")]


def test_a_service_tells_its_birth_and_edge_nodes_hear_it(
    client: Callable[[str, str], Client], eventually: Eventually
) -> None:
    topics = Topics()
    edge = client(str(TOP), topics.service_status("north"))
    service = client("analytics", topics.every("frame"))
    service.publish(topics.service_status("north", "analytics"), b"born")
    eventually(lambda: edge.deliveries)


def test_without_a_certificate_nobody_enters(plant: Broker, authority: Any, eventually: Eventually) -> None:
    losses: list[str] = []
    link = Link(
        LinkSettings(port=plant.port, client_id="nobody", tls=TlsSettings(ca=authority.certificate)),
        on_delivery=lambda _delivery: None,
        on_connected=lambda _connection: losses.append("connected"),
        on_disconnected=losses.append,
    )
    link.start()
    eventually(lambda: losses)
    link.stop(2.0)
    assert "certificate required" in losses[0].lower().replace("_", " ")
