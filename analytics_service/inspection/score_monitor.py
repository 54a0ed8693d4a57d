"""Follows the scores of each station and codec: their distribution, and whether it is still that of commissioning."""

from collections import deque
from dataclasses import dataclass, field

from analytics_service.inspection.intake import ReadyArtifact
from analytics_service.metrics import Metrics
from patchline.vision.scoring.drift import FEWEST, critical, distance
from patchline.wire.topics import Station

WINDOW = 200
"""Scores that drift is looked for in; the oldest give way."""
EVERY = 5
"""Scores of one station and codec from one look at them to the next: a look costs 0.1 ms."""


@dataclass(slots=True)
class _Window:
    fingerprint: str
    scores: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))
    seen: int = 0


class ScoreMonitor:
    """Note a scored part; the worker calls this for each one.

    Args:
        metrics: Where what it finds is shown.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._windows: dict[tuple[str, str], _Window] = {}

    def note(self, station: Station, artifact: ReadyArtifact, score: float) -> None:
        """A part was scored by this artifact."""
        place = (str(station), artifact.codec)
        reference = artifact.calibration.threshold or max(artifact.normal_quantiles, default=0.0)
        if reference > 0:
            self._metrics.score_ratio.labels(*place).observe(score / reference)
        window = self._windows.get(place)
        if window is None or window.fingerprint != artifact.fingerprint:
            window = self._windows[place] = _Window(artifact.fingerprint)
        window.scores.append(score)
        window.seen += 1
        if artifact.normal_quantiles and len(window.scores) >= FEWEST and window.seen % EVERY == 0:
            self._metrics.score_drift_ratio.labels(*place).set(distance(window.scores, artifact.normal_quantiles))
            limit = critical(len(window.scores), artifact.calibration.images)
            self._metrics.score_drift_limit_ratio.labels(*place).set(limit)
