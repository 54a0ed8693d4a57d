"""Scoring a batch of frames so that one part's error ends that part and no other."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from analytics_service.inspection.artifact_wait import ArtifactWait
from analytics_service.inspection.decisions import Judged, Unscorable, unscorable
from analytics_service.inspection.inspector import Finding, inspect
from analytics_service.inspection.intake import ArtifactLookup, Inspection, admit
from analytics_service.inspection.judgement import judge
from analytics_service.inspection.opening import Frame
from analytics_service.records.outcomes import outcome_of_verdict
from patchline.wire.errors import UnreadableError

log = logging.getLogger(__name__)

INTERNAL = "internal"
"""Code of a part whose scoring failed for a reason that its message does not explain."""


class PartScorer:
    """Decodes, scores and judges frames.

    Args:
        artifacts: What judges them.
        artifact_wait: How long a frame is left unanswered whose artifact other workers have already; None where there
            are no others.
        clock: Monotonic seconds, the clock of `Delivery.received_at`.
        wall: Seconds since the epoch.
    """

    def __init__(
        self,
        artifacts: ArtifactLookup,
        *,
        artifact_wait: ArtifactWait | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._artifacts, self._artifact_wait = artifacts, artifact_wait
        self._clock, self._wall = clock, wall

    def score(self, frames: Sequence[Frame]) -> list[Judged | Unscorable]:
        """A decision for each frame, without those that are left to be sent again."""
        started = self._clock()
        admitted: list[Inspection] = []
        decided: list[Judged | Unscorable] = []
        for frame in frames:
            try:
                admitted.append(self._admit(frame))
            except UnreadableError as error:
                if self._is_awaited(frame, error):
                    log.info("part %s is left to be sent again: %s", frame.message.part_id, error)
                else:
                    decided.append(self._unscorable(frame, error))
            except Exception as error:  # noqa: BLE001 - one part's error ends that part and no other
                decided.append(self._failed(frame, error))
        for inspection, found in zip(admitted, self._findings(admitted), strict=True):
            if isinstance(found, Finding):
                decided.append(self._judged(inspection, found, started))
            else:
                decided.append(self._failed(inspection.frame, found))
        return decided

    def _admit(self, frame: Frame) -> Inspection:
        started = self._clock()
        inspection = admit(frame, artifacts=self._artifacts)
        return replace(inspection, decode_seconds=self._clock() - started)

    def _is_awaited(self, frame: Frame, error: UnreadableError) -> bool:
        wait = self._artifact_wait
        return error.code == "artifact" and wait is not None and wait.waits_for(frame.message.artifact)

    def _findings(self, inspections: Sequence[Inspection]) -> list[Finding | Exception]:
        """What each part shows; after an error every part is scored alone, and the guilty one keeps its error."""
        try:
            return [*inspect(inspections, clock=self._clock)]
        except Exception as error:  # noqa: BLE001 - as above
            if len(inspections) == 1:
                return [error]
            log.warning("a batch of %d parts is scored one by one: %r", len(inspections), error)
            return [found for inspection in inspections for found in self._findings([inspection])]

    def _judged(self, inspection: Inspection, finding: Finding, started: float) -> Judged:
        received_at, at = inspection.frame.delivery.received_at, self._wall()
        verdict = judge(
            inspection,
            finding,
            judged_at=at,
            server_seconds=self._clock() - received_at,
            queue_seconds=started - received_at,
        )
        return Judged(inspection, finding, verdict, outcome_of_verdict(verdict, recorded_at=at))

    def _failed(self, frame: Frame, error: Exception) -> Unscorable:
        log.error("part %s of %s cannot be scored", frame.message.part_id, frame.station, exc_info=error)
        return self._unscorable(frame, UnreadableError(f"{type(error).__name__}: {error}", code=INTERNAL))

    def _unscorable(self, frame: Frame, error: UnreadableError) -> Unscorable:
        server_seconds = self._clock() - frame.delivery.received_at
        return unscorable(frame, error, at=self._wall(), server_seconds=server_seconds)
