"""Follows the scores of each station and codec: their distribution, and whether it is still that of commissioning."""

from collections import deque

from analytics_service.inspection.intake import ReadyArtifact
from analytics_service.metrics import Metrics
from patchline.vision.scoring.drift import FEWEST, critical, distance
from patchline.wire.topics import Station

WINDOW = 200
"""Scores that drift is looked for in; the oldest give way."""
_EVERY = 5
"""Scores from one look to the next: it costs 0.1 ms."""


class ScoreMonitor:
    """Told of every part that was scored, by the worker.

    Args:
        metrics: Where what it finds is shown.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._windows: dict[tuple[str, str], tuple[str, deque[float]]] = {}
        self._seen = 0

    def note(self, station: Station, artifact: ReadyArtifact, score: float) -> None:
        """A part was scored by this artifact."""
        place = (str(station), artifact.codec)
        reference = artifact.calibration.threshold or max(artifact.normal_quantiles, default=0.0)
        if reference > 0:
            self._metrics.score_ratio.labels(*place).observe(score / reference)
        fingerprint, window = self._windows.get(place, ("", deque[float]()))
        if fingerprint != artifact.fingerprint:
            window = deque(maxlen=WINDOW)
            self._windows[place] = (artifact.fingerprint, window)
        window.append(score)
        self._seen += 1
        if artifact.normal_quantiles and len(window) >= FEWEST and self._seen % _EVERY == 0:
            self._metrics.score_drift.labels(*place).set(distance(window, artifact.normal_quantiles))
            self._metrics.score_drift_limit.labels(*place).set(critical(len(window), artifact.calibration.images))
