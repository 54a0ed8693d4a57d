"""Admission: bytes from a topic become an inspection that can be scored, or an `UnreadableError` that says why not.

Nothing an edge node says about itself is believed before it is checked: the topic (which the broker's access list
guards) must name the station of the envelope, the payload must have the envelope's digest, and the artifact must be
one that judges this station and this codec.
"""

from dataclasses import dataclass
from typing import Protocol

from patchline.artifacts.readers import Decoded, Reader
from patchline.vision.detectors.protocol import Detector
from patchline.vision.scoring.calibration import Calibration
from patchline.wire.channels import ChannelName
from patchline.wire.errors import UnreadableError
from patchline.wire.messages import MAX_MESSAGE_BYTES, EdgeMessage, FrameMessage, check_payload, sha256_of, unpack
from patchline.wire.topics import Station, Topics

CHANNELS: tuple[ChannelName, ...] = ("frame", "backlog")
"""The channels on which edge nodes send parts."""


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
        """What normal pictures scored at commissioning, from the lowest to the highest; empty where nobody knows."""


class ArtifactLookup(Protocol):
    """Where intake finds the artifact a frame was encoded for."""

    def find(self, station: Station, fingerprint: str) -> ReadyArtifact | None:
        """The artifact of this fingerprint if it is here and may judge this station."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message whose outside has been understood; its payload has not been looked at yet.

    Attributes:
        received_sha256: Digest of the whole message as received.
        historical: It came over `backlog`: nobody waits for its verdict at a gate.
    """

    station: Station
    message: EdgeMessage
    received_sha256: str
    historical: bool


@dataclass(frozen=True, slots=True)
class Inspection:
    """One part, decoded and ready to be scored.

    Attributes:
        decoded: The picture at the artifact's input size, or its feature maps, as the artifact's reader made them.
    """

    frame: FrameMessage
    artifact: ReadyArtifact
    decoded: Decoded
    historical: bool
    received_sha256: str


def open_envelope(payload: bytes, topic: str, *, topics: Topics, limit: int = MAX_MESSAGE_BYTES) -> Envelope:
    """Read who sent what.

    Raises:
        UnreadableError: The topic is not an edge's (`topic`), the message too long (`size`), not an envelope
            (`envelope`), or signed with another station than the topic's (`station`).
    """
    station, channel = topics.parse(topic)
    if channel not in CHANNELS:
        raise UnreadableError(f"nothing is inspected on channel {channel!r}", code="topic")
    message: EdgeMessage = unpack(payload, EdgeMessage, limit=limit)
    if message.station != str(station):
        raise UnreadableError(f"the envelope names station {message.station!r}, the topic {station}", code="station")
    return Envelope(station, message, sha256_of(payload), historical=channel == "backlog")


def admit(envelope: Envelope, frame: FrameMessage, *, artifacts: ArtifactLookup) -> Inspection:
    """Check a frame against the artifact it was encoded for, and decode it.

    Raises:
        UnreadableError: The payload was damaged (`sha256`), its artifact is not here (`artifact`), it was encoded
            with another codec than the artifact's, or with the same one fitted otherwise (`codec`), or it does not
            decode to what the artifact judges (the codec's own code, or `size`).
    """
    check_payload(frame)
    artifact = artifacts.find(envelope.station, frame.artifact)
    if artifact is None:
        raise UnreadableError(
            f"no artifact {frame.artifact[:12]} for station {envelope.station}; "
            "it was never commissioned here or its file has been removed",
            code="artifact",
        )
    if frame.codec != artifact.codec:
        raise UnreadableError(f"encoded with {frame.codec!r}, its artifact judges {artifact.codec!r}", code="codec")
    decoded = artifact.reader.decode(frame.payload)
    return Inspection(frame, artifact, decoded, envelope.historical, envelope.received_sha256)
