"""Turns the pixels of a part into its frame."""

from edge_node.capture.dropped import Dropped
from edge_node.capture.sources.protocol import Pixels
from edge_node.encoding.image_encoder import Encoder
from edge_node.metrics import EdgeMetrics
from edge_node.outbox.rows import Row, traceparent_of
from patchline.wire.errors import MisconfiguredError
from patchline.wire.messages import MAX_MESSAGE_BYTES, FrameMessage, pack, sha256_of


class FrameBuilder:
    """Encodes pictures.

    Args:
        station: Named in every frame.
        metrics: Where what a picture says of its camera is noted.
    """

    def __init__(self, station: str, metrics: EdgeMetrics) -> None:
        self._station, self._metrics = station, metrics

    def build(self, row: Row, pixels: Pixels, encoder: Encoder, exposed_seconds: float) -> tuple[bytes, FrameMessage]:
        """The message of a frame, and the frame.

        Raises:
            Dropped: The picture cannot be encoded, or the message is too large.
        """
        try:
            payload, stages, health = encoder.encode(pixels)
        except MisconfiguredError as error:
            raise Dropped("encode_failed", str(error)) from error
        self._metrics.observe_picture(health)
        frame = FrameMessage(
            inspection_id=row.inspection_id,
            station=self._station,
            boot_id=row.boot_id,
            sequence=row.sequence,
            part_id=row.part_id,
            captured_at=row.captured_at,
            traceparent=traceparent_of(row.inspection_id),
            artifact=encoder.profile_codec.artifact,
            codec=encoder.profile_codec.codec,
            payload=payload,
            payload_sha256=sha256_of(payload),
            stages={"capture": exposed_seconds, **stages},
        )
        message = pack(frame)
        if len(message) > MAX_MESSAGE_BYTES:
            raise Dropped("too_large", f"the message has {len(message)} bytes, the limit is {MAX_MESSAGE_BYTES}")
        return message, frame
