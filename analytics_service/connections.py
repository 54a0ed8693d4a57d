"""The service's two connections: live parts over one, historical ones over the other, so neither delays the other."""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from analytics_service.inspection.delivery_queue import DeliveryQueue
from analytics_service.metrics import Metrics
from patchline.mqtt.delivery import Acknowledged, Connection, Delivery
from patchline.mqtt.link import Link
from patchline.mqtt.settings import LinkSettings, Subscription, Will
from patchline.wire.topics import Topics

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LinkPlan:
    """How a service connects.

    Attributes:
        live: Settings of the live link.
        backlog: Settings of the link for historical parts.
        will: The service's death.
        live_subscriptions: Of the live link: parts and the edge nodes' states.
        backlog_subscriptions: Of the other one.
    """

    live: LinkSettings
    backlog: LinkSettings
    will: Will
    live_subscriptions: tuple[Subscription, ...]
    backlog_subscriptions: tuple[Subscription, ...]


def plan_links(
    settings: LinkSettings, *, topics: Topics, site: str, group: str, backlog_inflight: int, will: Will
) -> LinkPlan:
    """How a service connects.

    Args:
        settings: Of the live link; the other one adds `-backlog` to its client id.
        topics: The topic tree.
        site: Whose stations are served.
        group: Name of the shared subscription of several workers; empty for a worker that works alone.
        backlog_inflight: Unacknowledged historical parts at most.
        will: The service's death.
    """

    def shared(topic_filter: str) -> Subscription:
        return Subscription(topics.shared(group, topic_filter) if group else topic_filter)

    return LinkPlan(
        live=settings,
        backlog=replace(settings, client_id=f"{settings.client_id}-backlog", max_inflight=backlog_inflight),
        will=will,
        live_subscriptions=(
            shared(topics.every("frame", site=site)),
            Subscription(topics.every("status", site=site)),
        ),
        backlog_subscriptions=(shared(topics.every("backlog", site=site)),),
    )


class LiveReplies:
    """A link that says whether it is connected."""

    def __init__(self) -> None:
        self._link: Link | None = None
        self._connected = threading.Event()

    def use(self, link: Link) -> None:
        """Publish through this link from now on."""
        self._link = link

    @property
    def connected(self) -> bool:
        """Whether there is any use in trying again."""
        return self._connected.is_set()

    def mark(self, *, connected: bool) -> None:
        """Note that the link has come or gone."""
        (self._connected.set if connected else self._connected.clear)()

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: Literal[0, 1] = 1,
        retain: bool = False,
        content_type: str = "",
        correlation: bytes = b"",
        user: Sequence[tuple[str, str]] = (),
        on_done: Callable[[Acknowledged], None] | None = None,
    ) -> None:
        """See `Link.publish`."""
        assert self._link is not None
        self._link.publish(
            topic,
            payload,
            qos=qos,
            retain=retain,
            content_type=content_type,
            correlation=correlation,
            user=user,
            on_done=on_done,
        )


class Connections:
    """Two links with the same broker, and where what arrives on them goes.

    Args:
        plan: How to connect.
        delivery_queue: Where parts wait for the worker.
        outlet: What publishes through the live link.
        metrics: Where the links' state is shown.
        on_status: Called with every edge's status; must return at once.
        on_live: Called when the live link is up; must return at once.
    """

    def __init__(
        self,
        plan: LinkPlan,
        *,
        delivery_queue: DeliveryQueue,
        outlet: LiveReplies,
        metrics: Metrics,
        on_status: Callable[[Delivery], None],
        on_live: Callable[[], None],
    ) -> None:
        self._delivery_queue, self._outlet, self._metrics = delivery_queue, outlet, metrics
        self._on_status, self._on_live = on_status, on_live
        self._taking = True
        self._told = ""
        self._backlog_is_connected = False
        self._live = Link(
            plan.live,
            will=plan.will,
            subscriptions=plan.live_subscriptions,
            on_delivery=self._on_live_delivery,
            on_connected=self._on_live_connected,
            on_disconnected=self._on_live_disconnected,
        )
        self._backlog = Link(
            plan.backlog,
            subscriptions=plan.backlog_subscriptions,
            on_delivery=lambda delivery: self._offer(delivery, historical=True),
            on_connected=lambda _: self._mark_backlog(connected=True),
            on_disconnected=lambda _: self._mark_backlog(connected=False),
        )
        outlet.use(self._live)

    @property
    def backlog_is_connected(self) -> bool:
        """Whether historical parts can come."""
        return self._backlog_is_connected

    def start(self) -> None:
        """Connect, and stay connected."""
        self._live.start()
        self._backlog.start()

    def stop_taking(self) -> None:
        """Acknowledge nothing that comes from now on; the edge nodes send it again to the service that runs then."""
        self._taking = False

    def stop(self, timeout_seconds: float) -> None:
        """Say goodbye on both links."""
        self._backlog.stop(timeout_seconds)
        self._live.stop(timeout_seconds)

    def _on_live_delivery(self, delivery: Delivery) -> None:
        if delivery.topic.endswith("/status"):
            delivery.acknowledge()
            self._on_status(delivery)
        else:
            self._offer(delivery, historical=False)

    def _offer(self, delivery: Delivery, *, historical: bool) -> None:
        if self._taking and not self._delivery_queue.offer(delivery, historical=historical):
            # Acknowledged all the same, or it would stand in the way of every later acknowledgement; the edge node
            # keeps the part until its verdict comes, and sends it again.
            self._metrics.refused.inc()
            delivery.acknowledge()

    def _mark_backlog(self, *, connected: bool) -> None:
        self._backlog_is_connected = connected
        self._metrics.connected.labels("backlog").set(int(connected))

    def _on_live_connected(self, connection: Connection) -> None:
        log.info("connected, %d publications may be on their way", connection.window)
        self._outlet.mark(connected=True)
        self._metrics.connected.labels("live").set(1)
        self._on_live()

    def _on_live_disconnected(self, reason: str) -> None:
        if self._taking and (self._outlet.connected or reason != self._told):
            # Once for each reason: a broker that is away is tried again and again.
            log.warning("not connected: %s", reason)
            self._told = reason
        self._outlet.mark(connected=False)
        self._metrics.connected.labels("live").set(0)
