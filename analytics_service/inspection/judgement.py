"""From what was found, or what could not be read, to the message that says so; pure, the clocks come in as numbers."""

import io
import uuid
from typing import TypedDict

import numpy as np
from PIL import Image

from analytics_service.inspection.inspector import Finding
from analytics_service.inspection.intake import Envelope, Inspection
from patchline.wire.errors import UnreadableError
from patchline.wire.messages import DropReason, DropReceipt, EdgeMessage, MapMessage, Outcome, Verdict
from patchline.wire.topics import Station

MAX_REASON_CHARACTERS = 2000


class Identity(TypedDict):
    """The fields by which every message says which part it is about."""

    inspection_id: str
    station: str
    boot_id: str
    sequence: int
    part_id: str
    captured_at: float
    traceparent: str


def outcome_of(score: float, threshold: float | None) -> Outcome:
    """What a score means: above the threshold `anomalous`, else `normal`; without a threshold `uncalibrated`."""
    if threshold is None:
        return "uncalibrated"
    return "anomalous" if score > threshold else "normal"


def judge(
    inspection: Inspection, finding: Finding, *, judged_at: float, server_seconds: float, stages: dict[str, float]
) -> Verdict:
    """The verdict on a scored part.

    Args:
        inspection: The part.
        finding: Its score and where it is highest.
        judged_at: Seconds since the epoch.
        server_seconds: Since the part's message arrived.
        stages: Seconds spent before the finding's own stages.
    """
    frame, calibration = inspection.frame, inspection.artifact.calibration
    return Verdict(
        **identity_of(frame),
        outcome=outcome_of(finding.score, calibration.threshold),
        received_sha256=inspection.received_sha256,
        score=finding.score,
        threshold=calibration.threshold,
        false_reject_bound=None if calibration.threshold is None else calibration.bound,
        peak=finding.peak,
        artifact=inspection.artifact.fingerprint,
        codec=frame.codec,
        historical=inspection.historical,
        judged_at=judged_at,
        server_seconds=server_seconds,
        stages={**stages, **finding.stages},
    )


def judge_unreadable(
    error: UnreadableError,
    *,
    station: Station,
    received_sha256: str,
    envelope: Envelope | None,
    judged_at: float,
    server_seconds: float,
) -> Verdict:
    """The verdict on a message that cannot be read; it speaks of the bytes it names, not of the part.

    The identity is the envelope's where that could be read and belongs to the topic's station. Otherwise the station
    is the topic's, the other fields are blank, and the id is made from the digest (UUID version 8), so that the same
    bytes always get the same id.
    """
    return Verdict(
        **(identity_by_content(station, received_sha256) if envelope is None else identity_of(envelope.message)),
        outcome="unreadable",
        received_sha256=received_sha256,
        historical=envelope is not None and envelope.historical,
        reason=f"{error.code}: {error.reason}"[:MAX_REASON_CHARACTERS],
        judged_at=judged_at,
        server_seconds=server_seconds,
    )


def identity_of(message: EdgeMessage) -> Identity:
    """Who a message says it is about."""
    return Identity(
        inspection_id=message.inspection_id,
        station=message.station,
        boot_id=message.boot_id,
        sequence=message.sequence,
        part_id=message.part_id,
        captured_at=message.captured_at,
        traceparent=message.traceparent,
    )


def identity_by_content(station: Station, received_sha256: str) -> Identity:
    """An identity for bytes that do not say whose they are: a UUID of version 8 (RFC 9562), made from their digest."""
    digits = int(received_sha256[:32], 16)
    version_and_variant = (0x8 << 76) | (0x2 << 62)
    number = (digits & ~((0xF << 76) | (0x3 << 62))) | version_and_variant
    return Identity(
        inspection_id=str(uuid.UUID(int=number)),
        station=str(station),
        boot_id="",
        sequence=0,
        part_id="",
        captured_at=0.0,
        traceparent="",
    )


def receipt_of(message: EdgeMessage, reason: DropReason) -> DropReceipt:
    """The answer to a drop, and to a picture of a part that is recorded as dropped; the same for every repeat."""
    return DropReceipt(**identity_of(message), reason=reason)


def map_message(inspection: Inspection, finding: Finding) -> MapMessage:
    """The anomaly map as a picture, on the fixed scale of its artifact: two parts' maps can be compared by eye."""
    low, high = inspection.artifact.map_range
    grey = np.clip((finding.anomaly_map - low) * (255.0 / (high - low)), 0.0, 255.0).round().astype(np.uint8)
    picture = io.BytesIO()
    Image.fromarray(grey).save(picture, "WEBP", lossless=True, method=0)
    return MapMessage(
        inspection_id=inspection.frame.inspection_id,
        station=inspection.frame.station,
        part_id=inspection.frame.part_id,
        picture=picture.getvalue(),
        low=low,
        high=high,
        threshold=inspection.artifact.calibration.threshold,
    )
