import hashlib
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from patchline.mqtt.delivery import Acknowledged, Delivery
from patchline.mqtt.link import Link
from patchline.mqtt.settings import LinkSettings, Subscription
from patchline.replay import broker as broker_module
from patchline.replay.broker import Broker, BrokerKind, broker_version, find_kind, find_mosquitto, free_port
from patchline.wire.errors import MisconfiguredError, UnavailableError

Eventually = Callable[..., None]

pytestmark = pytest.mark.broker


def listen(broker: Broker, topic_filter: str, deliveries: list[Delivery]) -> Link:
    """A started link whose deliveries end acknowledged in a list."""

    def keep(delivery: Delivery) -> None:
        deliveries.append(delivery)
        delivery.acknowledge()

    link = Link(
        LinkSettings(host=broker.host, port=broker.port, client_id="listener", protocol=broker.protocol),
        subscriptions=[Subscription(topic_filter)],
        on_delivery=keep,
        on_connected=lambda _connection: None,
        on_disconnected=lambda _reason: None,
    )
    link.start()
    assert link.wait_connected(60.0)
    return link


@pytest.fixture(params=["mosquitto", "amqtt"])
def kind(request: pytest.FixtureRequest) -> BrokerKind:
    chosen: BrokerKind = request.param
    if chosen == "mosquitto" and find_mosquitto() is None:
        pytest.skip("Mosquitto is not installed (apt install mosquitto)")
    if chosen == "amqtt":
        pytest.importorskip("amqtt", reason="amqtt is not installed (patchline[analytics])")
    return chosen


def test_pictures_of_60_kilobytes_pass_whole_and_in_order(
    kind: BrokerKind, tmp_path: Path, unique_topic: str, eventually: Eventually
) -> None:
    pictures = [hashlib.sha256(b"%d" % number).digest() * 1875 for number in range(20)]
    deliveries: list[Delivery] = []
    fates: list[Acknowledged] = []
    with Broker(tmp_path, kind=kind) as broker:
        link = listen(broker, unique_topic, deliveries)
        for picture in pictures:
            link.publish(unique_topic, picture, on_done=fates.append)
        eventually(lambda: len(deliveries) == len(fates) == 20)
        link.stop(5.0)
    assert [delivery.payload for delivery in deliveries] == pictures
    assert all(fate.accepted for fate in fates)


def test_a_killed_broker_comes_back_on_the_same_port_and_its_clients_too(
    kind: BrokerKind, tmp_path: Path, unique_topic: str, eventually: Eventually
) -> None:
    deliveries: list[Delivery] = []
    with Broker(tmp_path, kind=kind) as broker:
        link = listen(broker, unique_topic, deliveries)
        port = broker.port
        broker.kill()
        eventually(lambda: not link.wait_connected(0.0))
        broker.restart()
        assert broker.port == port
        assert link.wait_connected(60.0)
        link.publish(unique_topic, b"again")
        eventually(lambda: deliveries)
        link.stop(5.0)


def test_a_broker_leaves_nothing_behind(kind: BrokerKind, tmp_path: Path) -> None:
    with Broker(tmp_path, kind=kind) as broker:
        again = Broker(tmp_path / "again", kind=kind, port=broker.port)
        with pytest.raises(UnavailableError, match=str(broker.port)):
            again.start()
    with Broker(tmp_path, kind=kind, port=broker.port):
        pass


def test_the_protocol_is_the_newest_the_broker_speaks(tmp_path: Path) -> None:
    assert Broker(tmp_path, kind="mosquitto").protocol == "5"
    assert Broker(tmp_path, kind="amqtt").protocol == "3.1.1"


def test_mosquitto_is_taken_where_it_is_installed_and_amqtt_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker_module, "find_mosquitto", lambda: "/usr/sbin/mosquitto")
    assert find_kind() == "mosquitto"
    monkeypatch.setattr(broker_module, "find_mosquitto", lambda: None)
    assert find_kind() == "amqtt"
    monkeypatch.setattr(broker_module, "find_spec", lambda _name: None)
    with pytest.raises(MisconfiguredError, match=r"apt install mosquitto.*patchline\[analytics\]"):
        find_kind()


def test_a_broker_that_cannot_start_says_what_its_log_says(tmp_path: Path) -> None:
    if find_mosquitto() is None:
        pytest.skip("Mosquitto is not installed (apt install mosquitto)")
    configuration = tmp_path / "wrong.conf"
    configuration.write_text("no_such_option true\n")
    with pytest.raises(UnavailableError, match="no_such_option"):
        Broker(tmp_path, kind="mosquitto", configuration=configuration).start()


def test_the_embedded_broker_keeps_its_tracebacks_off_the_terminal(tmp_path: Path, eventually: Eventually) -> None:
    pytest.importorskip("amqtt", reason="amqtt is not installed (patchline[analytics])")
    deliveries: list[Delivery] = []
    with Broker(tmp_path, kind="amqtt") as broker:
        program = (
            f"import socket, os; socket.create_connection(('127.0.0.1', {broker.port})).sendall(b'GET /'); os._exit(0)"
        )
        subprocess.run([sys.executable, "-c", program], check=True)
        link = listen(broker, "a", deliveries)
        link.publish("a", b"still here")
        eventually(lambda: deliveries)
        link.stop(5.0)
    assert broker.log.read_text() == ""


def test_free_ports_can_be_listened_on_and_are_given_to_no_outgoing_connection() -> None:
    known = Path("/proc/sys/net/ipv4/ip_local_port_range")
    first = int(known.read_text().split()[0]) if known.exists() else 32_768
    for port in {free_port() for _ in range(20)}:
        assert 1024 < port < first
        with socket.create_server(("127.0.0.1", port)):
            pass


def test_without_a_free_port_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setattr(broker_module, "_LOWEST_PORT", taken.getsockname()[1])
        monkeypatch.setattr(broker_module, "_PORTS", 1)
        with pytest.raises(UnavailableError, match="is free"):
            free_port()


@pytest.mark.skipif(find_mosquitto() is None, reason="Mosquitto is not installed (apt install mosquitto)")
def test_the_version_of_mosquitto_is_known() -> None:
    name, version = broker_version("mosquitto").split()
    assert name == "mosquitto"
    assert version[0].isdigit()


def test_a_broker_without_a_version_is_named_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(broker_module, "find_mosquitto", lambda: str(tmp_path / "gone"))
    assert broker_version("mosquitto") == "mosquitto"
