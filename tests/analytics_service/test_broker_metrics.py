"""A real Mosquitto's own figures are among the metrics while it is there."""

from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry

from analytics_service.broker_metrics import BrokerFigures
from patchline.mqtt.settings import LinkSettings
from patchline.replay.broker import Broker

pytestmark = pytest.mark.broker


def test_figures_come_with_the_broker_and_go_with_it(mosquitto: Broker, eventually: Callable[..., None]) -> None:
    registry = CollectorRegistry()
    figures = BrokerFigures(LinkSettings(port=mosquitto.port, client_id="service"), registry)
    figures.start()
    try:
        eventually(lambda: registry.get_sample_value("vad_analytics_broker_clients") is not None)
        eventually(lambda: registry.get_sample_value("vad_analytics_broker_dropped_messages_total") == 0)
        eventually(lambda: registry.get_sample_value("vad_analytics_broker_received_bytes_total"))
        mosquitto.kill()
        eventually(lambda: registry.get_sample_value("vad_analytics_broker_clients") is None)
    finally:
        figures.stop(2.0)


def test_a_broker_that_refuses_is_told_of_with_the_remedy(caplog: pytest.LogCaptureFixture) -> None:
    """Mosquitto's access list grants and delivers nothing; its dynamic security refuses, as other brokers do."""
    figures = BrokerFigures(LinkSettings(client_id="service"), CollectorRegistry())
    with caplog.at_level("INFO"):
        figures._disconnected("the broker refuses the subscription to $SYS/broker/# (Not authorized)")
    assert "set broker.figures = false" in caplog.text
