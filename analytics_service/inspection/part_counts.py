"""Counts what the worker did, once for each part, in the metrics."""

from collections.abc import Sequence

from analytics_service.inspection.decisions import Decision, Dropped, Judged, Refused, Unscorable
from analytics_service.inspection.opening import Damaged, Opened
from analytics_service.inspection.score_monitor import ScoreMonitor
from analytics_service.metrics import Metrics
from patchline.wire.messages import Verdict


class PartCounts:
    """Shows the worker's decisions.

    Args:
        metrics: Where they are shown.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._scores = ScoreMonitor(metrics)

    def count(self, decision: Decision) -> None:
        """Count a decision that was recorded first by this worker."""
        metrics = self._metrics
        match decision:
            case Judged(inspection, finding, verdict):
                self._count_verdict(verdict)
                frame = inspection.frame
                metrics.payload_bytes.labels(verdict.codec).observe(len(frame.message.payload))
                self._scores.note(frame.station, inspection.artifact, finding.score)
            case Unscorable(verdict=verdict, error=error):
                self._count_verdict(verdict)
                metrics.unreadable.labels(error.code).inc()
                metrics.dead_letters.inc()
            case Dropped(drop):
                metrics.drops.labels(drop.message.reason).inc()
            case Refused():
                metrics.dead_letters.inc()

    def count_messages(self, answered: Sequence[Opened], fresh: int) -> None:
        """Count the messages of a batch.

        Args:
            answered: Those that were answered.
            fresh: How many of them ended their part.
        """
        for opened in answered:
            if isinstance(opened, Damaged):
                self._metrics.unreadable.labels(opened.error.code).inc()
        whole = sum(not isinstance(opened, Damaged) for opened in answered)
        self._metrics.repeats.inc(whole - fresh)

    def _count_verdict(self, verdict: Verdict) -> None:
        self._metrics.verdicts.labels(verdict.outcome).inc()
        self._metrics.server_seconds.observe(verdict.server_seconds)
        for stage, seconds in verdict.stages.items():
            self._metrics.stage_seconds.labels(stage).observe(seconds)
