"""What leaves the service for a part: its answer, its anomaly map, and an unreadable message's bytes."""

import logging
import threading
from collections.abc import Callable
from typing import Literal, Protocol

from analytics_service.inspection.answer_limit import ANSWERS, AnswerLimit
from analytics_service.inspection.decisions import Judged
from analytics_service.inspection.judgement import map_message
from analytics_service.inspection.opening import Opened
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
        self._limit = AnswerLimit()

    def answer(self, opened: Opened, body: bytes) -> None:
        """Publish the answer to a message, trying again while the connection lasts.

        When the connection is gone it is left at that: the edge node sends the part again and gets the same answer.
        Copies that come much faster than any edge node sends are not answered.
        """
        answers = self._limit.count(opened.identity["inspection_id"])
        if answers > ANSWERS:
            self._metrics.withheld.inc()
            if answers == ANSWERS + 1:
                log.warning(
                    "messages about part %s of %s come again and again, as in a loop between brokers: not answered",
                    opened.identity["inspection_id"],
                    opened.station,
                )
            return
        traceparent = opened.identity["traceparent"]
        self._publish(
            opened.station,
            "verdict",
            body,
            content_type=CONTENT_TYPE_JSON,
            correlation=opened.identity["inspection_id"].encode(),
            user=(("traceparent", traceparent),) if traceparent else (),
        )

    def forward_unreadable(self, station: Station, received: bytes) -> None:
        """Publish an unreadable message as it was received, for repair."""
        self._publish(station, "unreadable", received)

    def illustrate(self, judged: Judged) -> None:
        """Publish the anomaly map for people to look at; it is not tried twice, and its error costs nothing else."""
        if self._maps == "none" or (self._maps == "anomalous" and judged.verdict.outcome != "anomalous"):
            return
        frame = judged.inspection.frame
        try:
            message = pack(map_message(judged.inspection, judged.finding))
            self._outlet.publish(
                self._topics.of(frame.station, "map"),
                message,
                qos=0,
                content_type=CONTENT_TYPE_MAP,
                correlation=frame.message.inspection_id.encode(),
            )
        except (UnavailableError, MisconfiguredError) as error:
            self._metrics.undelivered.labels("map").inc()
            log.debug("no map of %s: %s", frame.message.inspection_id, error)
        except Exception:  # the part has its verdict: a map that cannot be drawn stops nothing
            self._metrics.undelivered.labels("map").inc()
            log.exception("the map of %s cannot be drawn", frame.message.inspection_id)

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
                self._metrics.watchdog.beat("worker")
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            except MisconfiguredError as error:
                self._metrics.undelivered.labels(channel).inc()
                log.warning("cannot publish on %s of %s: %s", channel, station, error)
                return
            else:
                return
