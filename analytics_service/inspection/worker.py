"""The worker's thread: takes batches from the queue and gives them to the pipeline until the service stops."""

import logging

from analytics_service.inspection.delivery_queue import DeliveryQueue
from analytics_service.inspection.pipeline import Pipeline
from analytics_service.inspection.recorder import StoppedError
from analytics_service.metrics import Metrics

log = logging.getLogger(__name__)


class Worker:
    """Judges what arrives; one thread runs `run`.

    Args:
        delivery_queue: Where deliveries wait; `run` ends once it is closed and empty.
        pipeline: What is done with them.
        metrics: Whose watchdog is told that the worker lives.
        batch_parts: Messages in one batch at most.
        wait_seconds: How long the first message of a batch waits for others. 0 by default: under load, messages that
            arrive while a batch is scored form the next batch anyway.
    """

    def __init__(
        self,
        delivery_queue: DeliveryQueue,
        pipeline: Pipeline,
        *,
        metrics: Metrics,
        batch_parts: int = 8,
        wait_seconds: float = 0.0,
    ) -> None:
        self._delivery_queue, self._pipeline, self._metrics = delivery_queue, pipeline, metrics
        self._batch_parts, self._wait_seconds = batch_parts, wait_seconds

    def run(self) -> None:
        """Work until the queue is closed and empty, or the records are away while the service stops."""
        while batch := self._delivery_queue.take(limit=self._batch_parts, wait_seconds=self._wait_seconds):
            self._metrics.batch_parts.observe(len(batch))
            try:
                with self._metrics.watchdog.working("worker"):
                    self._pipeline.work(batch)
            except StoppedError:
                log.warning("gave up %d messages, the records are away; they will be sent again", len(batch))
                return
