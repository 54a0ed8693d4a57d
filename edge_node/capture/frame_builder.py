"""Turns the pixels of a part into its frame."""

import threading
import time

from edge_node.capture.dropped import Dropped
from edge_node.capture.sources.protocol import Pixels
from edge_node.encoding.image_encoder import Encoder
from edge_node.metrics import EdgeMetrics
from edge_node.outbox.drops import traceparent_of
from edge_node.outbox.rows import Row
from patchline.wire.errors import MisconfiguredError
from patchline.wire.messages import MAX_MESSAGE_BYTES, FrameMessage, pack, sha256_of


class FrameBuilder:
    """Encodes pictures.

    Args:
        station: Named in every frame.
        metrics: Where what a picture says of its camera is noted.
        stop: Ends the wait of a slowed station.
        slowdown: Stretches exposing and encoding by this factor, to play a slower computer.
    """

    def __init__(self, station: str, metrics: EdgeMetrics, stop: threading.Event, *, slowdown: float = 1.0) -> None:
        self._station, self._metrics, self._stop, self._slowdown = station, metrics, stop, slowdown

    def build(self, row: Row, pixels: Pixels, encoder: Encoder, exposed_seconds: float) -> tuple[bytes, FrameMessage]:
        """The message of a frame, and the frame.

        Raises:
            Dropped: The picture cannot be encoded, or the message is too large.
        """
        started = time.perf_counter()
        try:
            payload, stages, health = encoder.encode(pixels)
        except MisconfiguredError as error:
            raise Dropped("encode_failed", str(error)) from error
        if self._slowdown > 1.0:
            self._stop.wait((exposed_seconds + time.perf_counter() - started) * (self._slowdown - 1.0))
        self._metrics.observe_picture(health)
        frame = FrameMessage(
            inspection_id=row.inspection_id,
            station=self._station,
            boot_id=row.boot_id,
            sequence=row.sequence,
            part_id=row.part_id,
            captured_at=row.captured_at,
            traceparent=traceparent_of(row.inspection_id),
            artifact=encoder.rung.artifact,
            codec=encoder.rung.codec,
            payload=payload,
            payload_sha256=sha256_of(payload),
            stages={
                stage: seconds * self._slowdown for stage, seconds in {"capture": exposed_seconds, **stages}.items()
            },
        )
        message = pack(frame)
        if len(message) > MAX_MESSAGE_BYTES:
            raise Dropped("too_large", f"the message has {len(message)} bytes, the limit is {MAX_MESSAGE_BYTES}")
        return message, frame
