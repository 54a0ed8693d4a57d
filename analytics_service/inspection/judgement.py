"""From what was found, or what could not be read, to the message that says so; pure, the clocks come in as numbers."""

import io

import msgspec
import numpy as np
from PIL import Image

from analytics_service.inspection.identity import Identity
from analytics_service.inspection.inspector import Finding
from analytics_service.inspection.intake import Inspection
from patchline.wire.errors import UnreadableError
from patchline.wire.messages import MapMessage, Outcome, Verdict, from_json, to_json

MAX_REASON_CHARACTERS = 2000


def outcome_of(score: float, threshold: float | None) -> Outcome:
    """What a score means: above the threshold `anomalous`, else `normal`; without a threshold `uncalibrated`."""
    if threshold is None:
        return "uncalibrated"
    return "anomalous" if score > threshold else "normal"


def judge(
    inspection: Inspection, finding: Finding, *, judged_at: float, server_seconds: float, queue_seconds: float
) -> Verdict:
    """The verdict on a scored part.

    Args:
        inspection: The part.
        finding: Its score and where it is highest.
        judged_at: Seconds since the epoch.
        server_seconds: Since the part's message arrived.
        queue_seconds: Of these, until its batch was begun.
    """
    frame, artifact = inspection.frame, inspection.artifact
    calibration = artifact.calibration
    return Verdict(
        **frame.identity,
        outcome=outcome_of(finding.score, calibration.threshold),
        received_sha256=frame.received_sha256,
        score=finding.score,
        threshold=calibration.threshold,
        false_reject_bound=None if calibration.threshold is None else calibration.bound,
        peak=finding.peak,
        artifact=artifact.fingerprint,
        codec=artifact.codec,
        historical=frame.historical,
        judged_at=judged_at,
        server_seconds=server_seconds,
        stages={"queue": queue_seconds, "decode": inspection.decode_seconds, **finding.stages},
    )


def judge_unreadable(
    error: UnreadableError,
    *,
    identity: Identity,
    received_sha256: str,
    historical: bool = False,
    judged_at: float = 0.0,
    server_seconds: float = 0.0,
) -> Verdict:
    """The verdict on a message that cannot be read or scored; it speaks of the bytes it names."""
    return Verdict(
        **identity,
        outcome="unreadable",
        received_sha256=received_sha256,
        historical=historical,
        reason=f"{error.code}: {error.reason}"[:MAX_REASON_CHARACTERS],
        judged_at=judged_at,
        server_seconds=server_seconds,
    )


def answer_forgotten(identity: Identity, received_sha256: str) -> bytes:
    """The answer to a part whose outcome retention has deleted: it was closed, and is not judged again."""
    error = UnreadableError("the part was closed, and its outcome is no longer kept", code="forgotten")
    return to_json(judge_unreadable(error, identity=identity, received_sha256=received_sha256))


def addressed(body: bytes, received_sha256: str) -> bytes:
    """A recorded `unreadable` verdict as the answer to another message about the same part.

    An edge node knows an unreadable message by its digest alone, so the answer has to name the message it answers.
    """
    verdict: Verdict = from_json(body, Verdict)
    if verdict.received_sha256 == received_sha256:
        return body
    return to_json(msgspec.structs.replace(verdict, received_sha256=received_sha256))


def map_message(inspection: Inspection, finding: Finding) -> MapMessage:
    """The anomaly map as a picture, on the fixed scale of its artifact: two parts' maps can be compared by eye."""
    low, high = inspection.artifact.map_range
    grey = np.clip((finding.anomaly_map - low) * (255.0 / (high - low)), 0.0, 255.0).round().astype(np.uint8)
    picture = io.BytesIO()
    Image.fromarray(grey).save(picture, "WEBP", lossless=True, method=0)
    message = inspection.frame.message
    return MapMessage(
        inspection_id=message.inspection_id,
        station=message.station,
        part_id=message.part_id,
        picture=picture.getvalue(),
        low=low,
        high=high,
        threshold=inspection.artifact.calibration.threshold,
    )
