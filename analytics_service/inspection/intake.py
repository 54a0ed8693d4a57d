"""Admission: a frame becomes an inspection that can be scored, or an `UnreadableError` that says why not.

The artifact that a frame names must be one that judges this station and this codec.
"""

from dataclasses import dataclass
from typing import Protocol

from analytics_service.inspection.opening import Frame
from patchline.artifacts.readers import Decoded, Reader
from patchline.vision.detectors.protocol import Detector
from patchline.vision.scoring.calibration import Calibration
from patchline.wire.errors import UnreadableError
from patchline.wire.topics import Station


class ReadyArtifact(Protocol):
    """An artifact together with what feeds its detector: all it takes to judge a frame."""

    @property
    def fingerprint(self) -> str:
        """The sha256 of the artifact's file."""

    @property
    def codec(self) -> str:
        """Full name of the only codec whose payloads it judges."""

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width of the pictures it judges."""

    @property
    def reader(self) -> Reader:
        """What turns payloads into the feature maps its detector takes."""

    @property
    def detector(self) -> Detector:
        """What scores the backbone's feature maps."""

    @property
    def calibration(self) -> Calibration:
        """What turns the score into an outcome."""

    @property
    def map_range(self) -> tuple[float, float]:
        """Distances drawn as black and as white in an anomaly map."""

    @property
    def normal_quantiles(self) -> tuple[float, ...]:
        """What normal pictures scored at commissioning, from the lowest to the highest; empty where unknown."""


class ArtifactLookup(Protocol):
    """Where intake finds the artifact a frame was encoded for."""

    def find(self, station: Station, fingerprint: str) -> ReadyArtifact | None:
        """The artifact of this fingerprint if it is here and may judge this station."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """One part, decoded and ready to be scored.

    Attributes:
        decoded: The picture at the artifact's input size, or its feature maps, as the artifact's reader made them.
        decode_seconds: How long that took.
    """

    frame: Frame
    artifact: ReadyArtifact
    decoded: Decoded
    decode_seconds: float = 0.0


def artifact_of(frame: Frame, artifacts: ArtifactLookup) -> ReadyArtifact:
    """The artifact that judges a frame.

    Raises:
        UnreadableError: It is not here (`artifact`), or the frame was encoded with another codec than the artifact's,
            or with the same one fitted otherwise (`codec`).
    """
    message = frame.message
    artifact = artifacts.find(frame.station, message.artifact)
    if artifact is None:
        raise UnreadableError(
            f"no artifact {message.artifact[:12]} for station {frame.station}; "
            "it was never commissioned here or its file has been removed",
            code="artifact",
        )
    if message.codec != artifact.codec:
        raise UnreadableError(f"encoded with {message.codec!r}, its artifact judges {artifact.codec!r}", code="codec")
    return artifact


def admit(frame: Frame, *, artifacts: ArtifactLookup) -> Inspection:
    """Check a frame against the artifact it was encoded for, and decode it.

    Raises:
        UnreadableError: As `artifact_of`; or it does not decode to what the artifact judges (the codec's own code, or
            `size`).
    """
    artifact = artifact_of(frame, artifacts)
    return Inspection(frame, artifact, artifact.reader.decode(frame.message.payload))
