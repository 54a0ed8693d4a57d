"""What Mosquitto tells of itself on `$SYS`, among the service's metrics; above all the messages it has dropped."""

import logging
from collections.abc import Iterator
from dataclasses import replace

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from patchline.mqtt.delivery import Connection, Delivery
from patchline.mqtt.link import Link
from patchline.mqtt.settings import LinkSettings, Subscription

log = logging.getLogger(__name__)

TOPICS = "$SYS/broker/#"
_HEAD = "$SYS/broker/"
_COUNTERS = {
    "publish/messages/dropped": ("dropped_messages", "Publications the broker dropped: a queue was full"),
    "messages/received": ("received_messages", "MQTT packets the broker has received"),
    "messages/sent": ("sent_messages", "MQTT packets the broker has sent"),
    "bytes/received": ("received_bytes", "Bytes the broker has received"),
    "bytes/sent": ("sent_bytes", "Bytes the broker has sent"),
}
_GAUGES = {
    "clients/connected": ("clients", "Clients connected to the broker"),
    "store/messages/count": ("stored_messages", "Messages the broker holds, retained ones and those in queues"),
    "store/messages/bytes": ("stored_bytes", "Bytes of the messages the broker holds"),
}

_TOLD = {**_COUNTERS, **_GAUGES}
_KINDS: dict[str, type[CounterMetricFamily] | type[GaugeMetricFamily]] = {
    **dict.fromkeys(_COUNTERS, CounterMetricFamily),
    **dict.fromkeys(_GAUGES, GaugeMetricFamily),
}


class BrokerFigures(Collector):
    """A link of its own, so that a broker that refuses `$SYS` disturbs nothing; no series while it says nothing.

    Args:
        settings: Of the service's live link; `-figures` is added to its client id.
        registry: Where the figures are collected.
    """

    def __init__(self, settings: LinkSettings, registry: CollectorRegistry) -> None:
        self._values: dict[str, float] = {}
        self._link = Link(
            replace(settings, client_id=f"{settings.client_id}-figures"),
            subscriptions=(Subscription(TOPICS, qos=0),),
            on_delivery=self._heard,
            on_connected=self._connected,
            on_disconnected=self._disconnected,
        )
        registry.register(self)

    def start(self) -> None:
        """Connect, and stay connected."""
        self._link.start()

    def stop(self, timeout_seconds: float) -> None:
        """Say goodbye."""
        self._link.stop(timeout_seconds)

    def describe(self) -> list[Metric]:
        """Nothing in advance: what there is depends on the broker."""
        return []

    def collect(self) -> Iterator[Metric]:
        """What the broker said last."""
        values = dict(self._values)
        return (
            _KINDS[topic](f"vad_analytics_broker_{_TOLD[topic][0]}", _TOLD[topic][1], value=value)
            for topic, value in values.items()
        )

    @staticmethod
    def everything() -> list[Metric]:
        """Every series without values."""
        return [_KINDS[topic](f"vad_analytics_broker_{name}", text) for topic, (name, text) in _TOLD.items()]

    def _heard(self, delivery: Delivery) -> None:
        delivery.acknowledge()
        topic = delivery.topic.removeprefix(_HEAD)
        if topic in _TOLD:
            try:
                self._values = {**self._values, topic: float(bytes(delivery.payload))}
            except ValueError:
                log.debug("the broker says %r of %s", bytes(delivery.payload)[:40], topic)

    def _connected(self, _: Connection) -> None:
        log.debug("listening to the broker's own figures")

    def _disconnected(self, reason: str) -> None:
        self._values = {}
        if "refuses the subscription" in reason:
            log.info("no figures of the broker: %s; allow it in the access list, or set broker.figures = false", reason)
            self._link.stop(0)
