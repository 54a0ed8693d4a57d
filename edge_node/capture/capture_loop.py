"""From a numbered part to a durable row: every part ends as a frame, or as a drop with its reason."""

import threading
import time
from collections.abc import Iterable

from edge_node.capture.dropped import Dropped
from edge_node.capture.exposure import Exposures
from edge_node.capture.frame_builder import FrameBuilder
from edge_node.capture.intake import NumberedPart, TriggerIntake
from edge_node.capture.recorder import PartRecorder
from edge_node.control.active_encoder import ActiveEncoder
from edge_node.encoding.image_encoder import Encoder
from edge_node.metrics import EdgeMetrics
from edge_node.outbox.rows import Row

_POLL_SECONDS = 0.05


class Capture:
    """The capture loop of one station.

    Args:
        intake: Where numbered parts wait for their pictures.
        exposures: Takes the pictures.
        frames: Encodes them.
        recorder: Keeps them.
        active_encoder: Which encoder to use, and whether to capture at all.
        metrics: Where sizes and times are noted.
        stop: After it no picture is taken.
    """

    def __init__(
        self,
        intake: TriggerIntake,
        *,
        exposures: Exposures,
        frames: FrameBuilder,
        recorder: PartRecorder,
        active_encoder: ActiveEncoder,
        metrics: EdgeMetrics,
        stop: threading.Event,
    ) -> None:
        self._intake, self._exposures, self._frames, self._recorder = intake, exposures, frames, recorder
        self._active_encoder, self._metrics, self._stop = active_encoder, metrics, stop

    def run(self, unfinished: Iterable[Row] = ()) -> None:
        """Capture until no more triggers come.

        Args:
            unfinished: Rows of numbers that an earlier boot reserved and never used; reported first.
        """
        for row in unfinished:
            self._recorder.drop(row, "interrupted", "the edge node ended between trigger and picture")
        while (part := self._intake.take()) is not None:
            try:
                self._finish(part)
            finally:
                self._intake.done()

    def _finish(self, part: NumberedPart) -> None:
        with self._metrics.watchdog.working("capture"):
            try:
                self._capture(part)
            except Dropped as dropped:
                self._recorder.drop(part.row, dropped.reason, dropped.detail)

    def _capture(self, part: NumberedPart) -> None:
        row, shot = part
        encoder = self._encoder_for(row)
        started = time.perf_counter()
        pixels = self._exposures.take(row, shot)
        message, frame = self._frames.build(row, pixels, encoder, time.perf_counter() - started)
        keep_seconds = self._recorder.keep(row, message, payload_bytes=len(frame.payload), stages=frame.stages)
        if keep_seconds is None:
            return
        shot.on_kept()
        self._metrics.payload_bytes.labels(frame.codec).observe(len(frame.payload))
        for stage, seconds in {**frame.stages, "keep": keep_seconds}.items():
            self._metrics.stage_seconds.labels(stage).observe(seconds)

    def _encoder_for(self, row: Row) -> Encoder:
        """The encoder in use; waits for it as long as the part can stand there."""
        while not self._stop.is_set():
            encoder = self._active_encoder.encoder
            if encoder is not None and not self._active_encoder.paused:
                return encoder
            self._metrics.watchdog.beat("capture")
            self._exposures.check_age(row)
            self._stop.wait(_POLL_SECONDS)
        raise Dropped("interrupted", "the station stopped before the picture")
