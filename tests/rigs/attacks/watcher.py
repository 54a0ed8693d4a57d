"""A link that notes what it hears, and what became of what it said."""

from collections.abc import Sequence

from patchline.mqtt.delivery import Acknowledged, Delivery
from patchline.mqtt.link import Link
from patchline.mqtt.settings import LinkSettings, Subscription
from patchline.wire.errors import UnavailableError

_CONNECT_SECONDS = 20.0


class Watcher:
    """A connected link.

    Args:
        settings: Where the broker is, and whose keys it is shown.
        filters: What to listen to.

    Raises:
        UnavailableError: The broker does not let it in.
    """

    def __init__(self, settings: LinkSettings, filters: Sequence[str] = ()) -> None:
        self.heard: list[Delivery] = []
        self.fates: list[Acknowledged] = []
        self.losses: list[str] = []
        self.link = Link(
            settings,
            subscriptions=[Subscription(topic_filter) for topic_filter in filters],
            on_delivery=self._note,
            on_connected=lambda _connection: None,
            on_disconnected=self.losses.append,
        )
        self.link.start()
        if not self.link.wait_connected(_CONNECT_SECONDS):
            self.link.stop(1.0)
            raise UnavailableError(f"not let in: {self.losses[:1]}")

    def say(self, topic: str, payload: bytes) -> None:
        """Publish."""
        self.link.publish(topic, payload, on_done=self.fates.append)

    def on(self, topic: str) -> list[bytes]:
        """What was heard on a topic so far."""
        return [delivery.payload for delivery in list(self.heard) if delivery.topic == topic]

    def _note(self, delivery: Delivery) -> None:
        self.heard.append(delivery)
        delivery.acknowledge()
