"""A site as `provision` makes it, its broker running, and clients with the certificates it gave out."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from broker_config.authority import utc_now
from broker_config.provision import provision
from broker_config.site import folder_of, read_site
from broker_config.site_options import SiteOptions
from patchline.mqtt.delivery import Acknowledged, Delivery
from patchline.mqtt.link import Link
from patchline.mqtt.settings import LinkSettings, Subscription, TlsSettings
from patchline.replay.broker import Broker, find_mosquitto, free_port


class Client:
    """A link with a certificate of the site, whose common name is its user name at the broker."""

    def __init__(self, port: int, folder: Path, name: str, *filters: str) -> None:
        self.deliveries: list[Delivery] = []
        self.fates: list[Acknowledged] = []
        self.losses: list[str] = []
        site = read_site(folder)
        assert site is not None
        tls = folder_of(folder, site, name) / "tls"
        self.link = Link(
            LinkSettings(
                port=port,
                client_id=name,
                tls=TlsSettings(
                    ca=tls / "ca.crt", certificate=tls / "client.crt", key=tls / "client.key", minimum_version="1.3"
                ),
            ),
            subscriptions=[Subscription(topic_filter) for topic_filter in filters],
            on_delivery=self._delivered,
            on_connected=lambda _connection: None,
            on_disconnected=self.losses.append,
        )
        self.link.start()

    def publish(self, topic: str, payload: bytes = b"x") -> None:
        self.link.publish(topic, payload, on_done=self.fates.append)

    def _delivered(self, delivery: Delivery) -> None:
        self.deliveries.append(delivery)
        delivery.acknowledge()


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """The folder of a site `north` with two stations, its broker on a free port of loopback."""
    folder = tmp_path / "site"
    provision(
        folder,
        SiteOptions(
            name="north",
            hosts=("127.0.0.1", "localhost"),
            stations=("press-2/top", "press-2/side"),
            port=free_port(),
            listen="127.0.0.1",
        ),
        now=utc_now(),
    )
    return folder


@pytest.fixture
def site_broker(site: Path) -> Iterator[Broker]:
    """The site's own Mosquitto with the site's own configuration."""
    if find_mosquitto() is None:
        pytest.skip("Mosquitto is not installed (apt install mosquitto)")
    configuration = site / "broker" / "mosquitto.conf"
    if os.geteuid() == 0:
        # else Mosquitto would become a user who cannot see the test's folder
        configuration.write_text(configuration.read_text() + "\nuser root\n")
    made = read_site(site)
    assert made is not None
    with Broker(site / "run", kind="mosquitto", port=made.port, configuration=configuration) as broker:
        yield broker


@pytest.fixture
def client(site_broker: Broker, site: Path) -> Iterator[Callable[..., Client]]:
    """`client(name, *filters)`: a connected client of the site; `connect=False` for one that will not be let in."""
    made: list[Client] = []

    def make(name: str, *filters: str, connect: bool = True) -> Client:
        made.append(Client(site_broker.port, site, name, *filters))
        if connect and not made[-1].link.wait_connected(60.0):
            pytest.fail(f"not connected: {made[-1].losses}")
        return made[-1]

    yield make
    for one in made:
        one.link.stop(2.0)
