"""Which services of the site are up. When one comes up, everything that waits is sent."""

import logging

from edge_node.delivery.publisher import Publisher
from patchline.mqtt.delivery import Delivery
from patchline.wire.messages import ServiceStatus, from_json

_log = logging.getLogger(__name__)


_MOST_SERVICES = 64
"""Names remembered; a site has a few services, and whoever may speak for them could invent more."""


class ServicePresence:
    """Reads the services' retained `status`."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._up: dict[str, str] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The services that are up; from any thread."""
        return tuple(self._up.copy())

    def receive(self, delivery: Delivery) -> None:
        """Note a service's birth or death; raises `UnreadableError` when it is neither.

        A service that says anew that it is up was away, be it only because the broker was: what it was sent then is
        lost, and where others listen to frames too, the broker never said that nobody took them.
        """
        if not delivery.payload:
            return
        status: ServiceStatus = from_json(delivery.payload, ServiceStatus)
        if not status.online:
            if self._up.pop(status.name, None) is not None:
                _log.warning("service %s is down", status.name)
        elif not delivery.retained or self._up.get(status.name) != status.instance:
            self._remember(status)
            _log.info("service %s is up", status.name)
            self._publisher.service_born()

    def _remember(self, status: ServiceStatus) -> None:
        self._up.pop(status.name, None)
        if len(self._up) >= _MOST_SERVICES:
            del self._up[next(iter(self._up))]
        self._up[status.name] = status.instance
