"""What leaves the service for a case: its answer, its anomaly map, and an unreadable message's bytes."""

import logging
import threading
from collections.abc import Callable
from typing import Literal, Protocol

from analytics_service.inspection.judgement import map_message
from analytics_service.inspection.part_in_progress import PartInProgress
from analytics_service.metrics import Metrics
from patchline.mqtt.delivery import Acknowledged
from patchline.wire.channels import ChannelName
from patchline.wire.errors import MisconfiguredError, UnavailableError
from patchline.wire.messages import CONTENT_TYPE_JSON, CONTENT_TYPE_MAP, pack
from patchline.wire.topics import Station, Topics

log = logging.getLogger(__name__)

MapPolicy = Literal["anomalous", "all", "none"]
FIRST_PAUSE_SECONDS = 0.002
LONGEST_PAUSE_SECONDS = 0.25


class Replies(Protocol):
    """A link to publish through."""

    @property
    def connected(self) -> bool:
        """Whether there is any use in trying again."""

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: Literal[0, 1] = 1,
        content_type: str = "",
        correlation: bytes = b"",
        user: tuple[tuple[str, str], ...] = (),
        on_done: Callable[[Acknowledged], None] | None = None,
    ) -> None:
        """Hand over a message, or raise `UnavailableError` at once."""


class ReplyPublisher:
    """Publishes for the worker.

    Args:
        outlet: The link.
        maps: Which parts get their anomaly map published.
        stopped: Set when nothing is worth waiting for any more.
    """

    def __init__(
        self, outlet: Replies, *, topics: Topics, metrics: Metrics, maps: MapPolicy, stopped: threading.Event
    ) -> None:
        self._outlet, self._topics, self._metrics = outlet, topics, metrics
        self._maps, self._stopped = maps, stopped

    def answer(self, case: PartInProgress) -> None:
        """Publish a case's verdict or receipt, trying again while the connection lasts.

        When the connection is gone it is left at that: the edge node sends the part again and gets the same answer.
        """
        if case.station is None or not case.answer:
            return
        traceparent = case.envelope.message.traceparent if case.envelope else ""
        self._publish(
            case.station,
            "verdict",
            case.answer,
            content_type=CONTENT_TYPE_JSON,
            correlation=case.inspection_id.encode(),
            user=(("traceparent", traceparent),) if traceparent else (),
        )

    def forward_unreadable(self, case: PartInProgress) -> None:
        """Publish an unreadable message as it was received, once, for whoever repairs it."""
        if case.station is not None and case.error is not None and case.fresh:
            self._publish(case.station, "unreadable", case.delivery.payload)

    def illustrate(self, case: PartInProgress) -> None:
        """Publish the anomaly map for people to look at; it is not tried twice."""
        if case.station is None or case.inspection is None or case.finding is None or case.judged is None:
            return
        wanted = self._maps == "all" or (self._maps == "anomalous" and case.judged.verdict.outcome == "anomalous")
        if not wanted or not case.fresh:
            return
        message = pack(map_message(case.inspection, case.finding))
        try:
            self._outlet.publish(
                self._topics.of(case.station, "map"),
                message,
                qos=0,
                content_type=CONTENT_TYPE_MAP,
                correlation=case.inspection_id.encode(),
            )
        except (UnavailableError, MisconfiguredError) as error:
            self._metrics.undelivered.labels("map").inc()
            log.debug("no map of %s: %s", case.inspection_id, error)

    def _publish(
        self,
        station: Station,
        channel: ChannelName,
        payload: bytes,
        *,
        content_type: str = "",
        correlation: bytes = b"",
        user: tuple[tuple[str, str], ...] = (),
    ) -> None:
        def on_done(fate: Acknowledged) -> None:
            if not fate.accepted:
                self._metrics.undelivered.labels(channel).inc()
                log.debug("%s of %s was not taken: %s", channel, station, fate.reason)

        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                self._outlet.publish(
                    self._topics.of(station, channel),
                    payload,
                    qos=1,
                    content_type=content_type,
                    correlation=correlation,
                    user=user,
                    on_done=on_done,
                )
            except UnavailableError:
                if not self._outlet.connected or self._stopped.wait(pause):
                    self._metrics.undelivered.labels(channel).inc()
                    return
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            except MisconfiguredError as error:
                self._metrics.undelivered.labels(channel).inc()
                log.warning("cannot publish on %s of %s: %s", channel, station, error)
                return
            else:
                return
